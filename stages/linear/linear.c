#include "linear.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/version.h"
#include "extract.h"
#include "result.h"
#include "store/features.h"

enum { TRAIN, TEST, MAX_CLASSES = 100000 };

/* Everything open during a run. */
struct run {
  const struct linear_options *o;
  struct weights_source source;
  struct dataset *dataset;
  struct policy *policy;
  const struct split *splits[2];
  struct feature_table tables[2];
  struct sweep sweep;
  struct evaluation evaluation;
  char *key;
  char features[PATH_MAX], classifier[PATH_MAX], result[PATH_MAX];
};

static enum status place(char *out, const struct linear_options *o, const char *name) {
  int n = snprintf(out, PATH_MAX, "%s/%s", o->out, name);
  return n < PATH_MAX ? OK : fail(E_ARG, "the path is too long: %.80s...", o->out);
}

static enum status check_labels(const char *dataset, const struct split *split) {
  if (!split) return E_NOT_FOUND;
  if (split->count < 1) return fail(E_ARG, "%s: split '%s' has no images", dataset, split->name);
  if (split->count > INT32_MAX)
    return fail(E_ARG, "%s: split '%s' has %lld images, more than this evaluates", dataset, split->name,
                (long long)split->count);
  for (int64_t i = 0; i < split->count; i++)
    if (split->entries[i].label < 0)
      return fail(
          E_ARG,
          "%s: split '%s' has images without a label (sample %llu); linear evaluation needs all of them",
          dataset, split->name, (unsigned long long)split->entries[i].id);
  return OK;
}

static enum status open_dataset(struct run *r) {
  enum status st;
  const char *path = r->o->feed.dataset;
  TRY(dataset_open(&r->dataset, path));
  size_t classes = dataset_info(r->dataset)->n_classes;
  if (classes < 2 || classes > MAX_CLASSES) {
    st = fail(E_ARG, "%s has %zu classes; linear evaluation takes from 2 to %d", path, classes, MAX_CLASSES);
    goto out;
  }
  TRY(check_labels(path, r->splits[TRAIN] = dataset_split(r->dataset, r->o->train_split)));
  TRY(check_labels(path, r->splits[TEST] = dataset_split(r->dataset, r->o->test_split)));
out:
  return st;
}

/* Finds out now whether a file can be written there, not after the work. */
static enum status try_writing(const char *path) {
  struct atomic_file *file;
  enum status st = atomic_file_open(&file, path);
  if (st == OK) atomic_file_abort(&file);
  return st;
}

static enum status prepare_outputs(struct run *r) {
  enum status st;
  const struct linear_options *o = r->o;
  TRY(file_make_folder(o->out));
  TRY(place(r->features, o, "features.lmdb"));
  TRY(place(r->classifier, o, "classifier.safetensors"));
  TRY(place(r->result, o, "result.json"));
  TRY(try_writing(r->result));
  if (o->result) TRY(try_writing(o->result));
out:
  return st;
}

/* Opens and checks every input, before any time is spent. */
static enum status open_inputs(struct run *r) {
  enum status st;
  int64_t n_validation;
  TRY(linear_options_check(r->o));
  TRY(weights_source_open(&r->source, r->o));
  TRY(open_dataset(r));
  TRY(validation_count(r->o, r->splits[TRAIN]->count, &n_validation));
  const struct dataset_info *info = dataset_info(r->dataset);
  if (!r->source.has_mean_std) dataset_normalization(r->dataset, r->source.mean, r->source.std);
  TRY(policy_load(&r->policy, "evaluate", (int32_t)r->source.size));
  r->evaluation = (struct evaluation){.options = r->o,
                                      .source = &r->source,
                                      .dataset = info,
                                      .policy = policy_json(r->policy),
                                      .n_validation = n_validation,
                                      .n_train = r->splits[TRAIN]->count - n_validation,
                                      .n_test = r->splits[TEST]->count,
                                      .sweep = &r->sweep};
  TRY(prepare_outputs(r));
out:
  return st;
}

/* Names everything that the features depend on. */
static enum status make_key(struct run *r) {
  const struct weights_source *s = &r->source;
  const struct linear_options *o = r->o;
  json_t *calibration = s->file ? json_null()
                                : json_pack("{s:s, s:I}", "split", o->train_split, "batch",
                                            (json_int_t)calibration_batch(o, r->splits[TRAIN]->count));
  json_t *j =
      json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:[f,f,f], s:[f,f,f], s:s, s:s, s:s, s:o}", "version",
                TANDEM_VERSION, "weights", s->id, "arch", s->model.arch, "stem", s->model.stem, "width",
                (json_int_t)s->model.width, "dataset", r->evaluation.dataset->fingerprint, "policy",
                policy_json(r->policy), "mean", s->mean[0], s->mean[1], s->mean[2], "std", s->std[0],
                s->std[1], s->std[2], "device", o->device.device, "precision", o->device.precision, "plans",
                device_plans_name(&o->device), "calibration", calibration);
  if (j) r->key = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(j);
  return r->key ? OK : fail(E_MEMORY, "out of memory");
}

static enum status check_tables(const struct run *r) {
  for (int i = 0; i < 2; i++) {
    bool same = r->tables[i].n == r->splits[i]->count;
    for (int64_t k = 0; same && k < r->tables[i].n; k++)
      same = r->tables[i].ids[k] == r->splits[i]->entries[k].id &&
             r->tables[i].labels[k] == r->splits[i]->entries[k].label;
    if (!same)
      return fail(E_FORMAT, "%s: not the images of split '%s' in order", r->features, r->splits[i]->name);
  }
  return OK;
}

static enum status read_features(struct run *r) {
  const char *const names[] = {r->splits[TRAIN]->name, r->splits[TEST]->name};
  enum status st = features_read(r->features, r->key, names, 2, r->tables);
  return st == OK ? check_tables(r) : st;
}

/* From the store if they are there, computed otherwise. */
static enum status get_features(struct run *r) {
  enum status st;
  double began = clock_s();
  TRY(make_key(r));
  st = read_features(r);
  r->evaluation.reused = st == OK;
  if (st == OK) log_info("features: all inputs are those of %s, read from there", r->features);
  if (st == E_NOT_FOUND || st == E_VERSION || st == E_FORMAT) {
    log_info("features: computed now (%s)", fail_message());
    const struct extraction e = {.options = r->o,
                                 .source = &r->source,
                                 .policy = r->policy,
                                 .splits = {r->splits[TRAIN], r->splits[TEST]},
                                 .path = r->features,
                                 .key = r->key};
    TRY(extract(&e));
    st = read_features(r);
  }
  r->evaluation.dim = r->tables[TRAIN].dim;
  r->evaluation.features_s = clock_s() - began;
out:
  return st;
}

/* Reorders the rows so that the training part comes first, the validation part after it. */
static enum status permute(struct feature_table *t, uint32_t seed) {
  enum status st = OK;
  struct feature_table p = {.n = t->n, .dim = t->dim};
  int64_t *order = malloc((size_t)t->n * sizeof *order);
  p.x = malloc((size_t)(t->n * t->dim) * sizeof *p.x);
  p.labels = malloc((size_t)t->n * sizeof *p.labels);
  p.ids = malloc((size_t)t->n * sizeof *p.ids);
  if (!order || !p.x || !p.labels || !p.ids) {
    st = fail(E_MEMORY, "out of memory for %lld x %lld features", (long long)t->n, (long long)t->dim);
    goto out;
  }
  rng_randperm_torch(seed, t->n, order);
  for (int64_t i = 0; i < t->n; i++) {
    memcpy(p.x + i * t->dim, t->x + order[i] * t->dim, (size_t)t->dim * sizeof *p.x);
    p.labels[i] = t->labels[order[i]];
    p.ids[i] = t->ids[order[i]];
  }
  struct feature_table before = *t;
  *t = p;
  p = before;
out:
  feature_table_free(&p);
  free(order);
  return st;
}

static enum status evaluate(struct run *r) {
  enum status st;
  double began = clock_s();
  const struct linear_options *o = r->o;
  bool paper = strcmp(o->protocol, "paper") == 0;
  const struct sweep_plan plan = {.device = o->device.device,
                                  .rules = paper ? fit_paper : fit_default,
                                  .precondition = !paper,
                                  .class_mean = strcmp(o->metric, "class-mean") == 0,
                                  .threads = (int)o->device.threads};
  TRY(permute(&r->tables[TRAIN], (uint32_t)o->split_seed));
  struct samples data[2];
  for (int i = 0; i < 2; i++)
    data[i] = (struct samples){.x = r->tables[i].x,
                               .y = r->tables[i].labels,
                               .n = r->tables[i].n,
                               .dim = r->tables[i].dim,
                               .classes = (int32_t)r->evaluation.dataset->n_classes};
  TRY(sweep_run(&r->sweep, &plan, &data[TRAIN], r->evaluation.n_train, &data[TEST]));
  r->evaluation.fits_s = clock_s() - began;
out:
  return st;
}

static enum status write_outputs(const struct run *r) {
  enum status st;
  TRY(classifier_write(&r->evaluation, r->classifier));
  TRY(result_write(&r->evaluation, r->result));
  if (r->o->result && strcmp(r->o->result, r->result) != 0) TRY(result_write(&r->evaluation, r->o->result));
  result_print(&r->evaluation);
out:
  return st;
}

enum status linear_run(void *options) {
  enum status st;
  struct run *r = calloc(1, sizeof *r);
  if (!r) return fail(E_MEMORY, "out of memory");
  r->o = options;
  stop_on_signals();
  stop_with_parent();
  TRY(open_inputs(r));
  TRY(get_features(r));
  TRY(evaluate(r));
  TRY(write_outputs(r));
out:
  sweep_free(&r->sweep);
  feature_table_free(&r->tables[TRAIN]);
  feature_table_free(&r->tables[TEST]);
  policy_close(&r->policy);
  dataset_close(&r->dataset);
  weights_source_close(&r->source);
  free(r->key);
  free(r);
  return st;
}
