/* What a run reports about itself: its settings, the metadata of its weights,
 * its result file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/version.h"
#include "model/weights.h"
#include "run.h"
#include "watch.h"

enum { WEIGHTS_LIMIT_GIB = 64 };

/* xxh3-128 of a file, as hexadecimal digits. */
static enum status file_digest(char hex[33], const char *path) {
  uint8_t *bytes;
  size_t size;
  enum status st = file_read(path, (size_t)WEIGHTS_LIMIT_GIB << 30, &bytes, &size);
  if (st != OK) return st;
  XXH128_hash_t h = XXH3_128bits(bytes, size);
  free(bytes);
  snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
  return OK;
}

static json_t *triple(const double v[3]) { return json_pack("[f,f,f]", v[0], v[1], v[2]); }

static json_t *split_names(const struct run *run) {
  json_t *names = json_array();
  for (size_t i = 0; i < run->n_splits; i++) json_array_append_new(names, json_string(run->splits[i]));
  return names;
}

/* The values that `opts` have at `state`. New reference; NULL on no memory. */
static json_t *values_of(const struct opt *opts, const void *state) {
  json_t *all = json_object();
  for (const struct opt *o = opts; all && o && o->name; o++) {
    const void *at = (const char *)state + o->offset;
    json_t *value = NULL;
    switch (o->type) {
    case OPT_BOOL: value = json_boolean(*(const bool *)at); break;
    case OPT_INT: value = json_integer((json_int_t) * (const int64_t *)at); break;
    case OPT_FLOAT: value = json_real(*(const double *)at); break;
    case OPT_STR:
      value = *(const char *const *)at ? json_string(*(const char *const *)at) : json_null();
      break;
    case OPT_LIST:
    case OPT_TABLE: continue;
    }
    if (json_object_set_new(all, o->name, value) != 0) json_decref(all), all = NULL;
  }
  return all;
}

enum status settings_make(json_t **out, const struct run *run) {
  const struct train_options *o = run->o;
  const struct method *method;
  const struct base *base;
  const struct optimiser *rule;
  char digest[33] = "";
  enum status st = OK;
  *out = NULL;
  TRY(method_find(&o->method, &method, &base));
  TRY(optimiser_find(&rule, o->optimiser.name));
  const size_t rule_at = optimiser_place(rule), base_at = base_place(base), method_at = method_place(method);
  if (o->weights) TRY(file_digest(digest, o->weights));
  json_t *network =
      json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "arch", o->model.arch, "width",
                (json_int_t)o->model.width, "stem", o->model.stem, "projector", o->method.projector,
                "trans-backbone", o->method.trans_backbone, "trans-projector", o->method.trans_projector,
                "predictor", o->method.predictor ? o->method.predictor : "");
  json_t *losses = json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:s}", "method", method->name, "base",
                             base->name, "temperature", o->method.temperature, "inv",
                             o->method.weight[TERM_INV], "equi", o->method.weight[TERM_EQUI], "trans",
                             o->method.weight[TERM_TRANS], "labels", o->method.labels);
  json_t *optimiser = json_pack(
      "{s:f, s:f, s:f, s:b, s:s, s:f, s:I, s:I}", "lr", o->optimiser.lr, "momentum", o->optimiser.momentum,
      "weight-decay", o->optimiser.weight_decay, "decay-bn", o->optimiser.decay_bn, "schedule", o->schedule,
      "warmup-epochs", o->warmup_epochs, "epochs", (json_int_t)o->epochs, "batch", (json_int_t)o->batch);
  json_object_set_new(optimiser, "optimizer", json_string(rule->name));
  json_t *data = json_pack("{s:s, s:o, s:I, s:o, s:o, s:o}", "dataset", run->data->fingerprint, "splits",
                           split_names(run), "size", (json_int_t)run->size, "policy",
                           json_loads(policy_json(run->policy), 0, NULL), "mean",
                           triple(run->normalization.mean), "std", triple(run->normalization.std));
  *out = json_pack("{s:I, s:s, s:s, s:I, s:s}", "seed", (json_int_t)o->seed, "device", o->device.device,
                   "precision", o->device.precision, "threads", (json_int_t)o->device.threads, "weights",
                   digest);
  enum { N_PARTS = 7 };
  json_t *parts[N_PARTS] = {network,
                            losses,
                            optimiser,
                            data,
                            values_of(optimiser_opts_at(rule_at), o->optimiser.own[rule_at].bytes),
                            values_of(base_opts_at(base_at), o->method.base_own[base_at].bytes),
                            values_of(method_opts_at(method_at), o->method.method_own[method_at].bytes)};
  for (size_t i = 0; i < N_PARTS; i++) {
    if (!parts[i] || !*out || json_object_update(*out, parts[i]) != 0) st = fail(E_MEMORY, "out of memory");
    json_decref(parts[i]);
  }
  if (st != OK) json_decref(*out), *out = NULL;
out:
  return st;
}

enum { TRIPLE_TEXT = 96, NUMBER_TEXT = 24, N_METADATA = 10 };

struct weights_metadata {
  char mean[TRIPLE_TEXT], std[TRIPLE_TEXT], size[NUMBER_TEXT], epochs[NUMBER_TEXT], seed[NUMBER_TEXT];
  struct metadata entries[N_METADATA];
  size_t n;
};

static void describe_weights(struct weights_metadata *m, const struct run *run) {
  const struct normalization *z = &run->normalization;
  snprintf(m->mean, sizeof m->mean, "%.17g,%.17g,%.17g", z->mean[0], z->mean[1], z->mean[2]);
  snprintf(m->std, sizeof m->std, "%.17g,%.17g,%.17g", z->std[0], z->std[1], z->std[2]);
  snprintf(m->size, sizeof m->size, "%d", run->size);
  snprintf(m->epochs, sizeof m->epochs, "%" PRId64, run->o->epochs);
  snprintf(m->seed, sizeof m->seed, "%" PRId64, run->o->seed);
  const struct metadata entries[N_METADATA] = {{"format", "pt"}, /* what loaders for PyTorch look for */
                                               {"version", TANDEM_VERSION},
                                               {"method", run->step->method->name},
                                               {"base", run->step->base->name},
                                               {"size", m->size},
                                               {"mean", m->mean},
                                               {"std", m->std},
                                               {"epoch", m->epochs},
                                               {"seed", m->seed},
                                               {"dataset", run->data->fingerprint}};
  memcpy(m->entries, entries, sizeof entries);
}

/* The last values of whatever the run watched; {} for nothing. *out: new reference. E_IO, E_MEMORY. */
static enum status last_monitors(json_t **out, const struct metrics *metrics) {
  static const char *const keys[] = {"knn", "probe", "std", "alignment", "uniformity"};
  *out = json_object();
  for (size_t i = 0; *out && i < sizeof keys / sizeof *keys; i++) {
    json_t *line;
    enum status st = metrics_last(metrics, keys[i], &line);
    if (st == OK) json_object_set(*out, keys[i], json_object_get(line, keys[i]));
    json_decref(line);
    if (st != OK && st != E_NOT_FOUND) return st;
  }
  return *out ? OK : fail(E_MEMORY, "out of memory");
}

static enum status write_result(const struct run *run, const char *final_path, const char *metrics_path,
                                double elapsed_s) {
  char fallback[PATH_MAX], digest[33];
  json_t *first = NULL, *last = NULL, *monitors = NULL, *result = NULL;
  enum status st = OK;
  snprintf(fallback, sizeof fallback, "%s/result.json", run->folder);
  const char *path = run->o->result ? run->o->result : fallback;
  TRY(file_digest(digest, final_path));
  TRY(metrics_epoch_mean(metrics_path, 0, &first));
  TRY(metrics_epoch_mean(metrics_path, run->o->epochs - 1, &last));
  TRY(last_monitors(&monitors, run->metrics));
  int64_t steps = run->last_step - run->first_step;
  double images = (double)(steps * run->o->batch);
  result =
      json_pack("{s:s, s:s, s:O, s:{s:s, s:s, s:I}, s:I, s:O, s:O, s:O, s:{s:s}, s:{s:f, s:f, s:f, "
                "s:f, s:I, s:I}}",
                "stage", "train", "version", TANDEM_VERSION, "settings", run->settings, "dataset", "name",
                run->data->name, "fingerprint", run->data->fingerprint, "images", (json_int_t)run->n_images,
                "steps", (json_int_t)run->last_step, "first_epoch_losses", first, "last_epoch_losses", last,
                "monitors", monitors, "weights", "final.safetensors", digest, "timing", "elapsed_s",
                elapsed_s, "compute_s", run->compute_s, "wait_s", run->wait_s, "images_per_s",
                elapsed_s > 0 ? images / elapsed_s : 0.0, "first_step", (json_int_t)run->first_step,
                "evaluations_skipped", (json_int_t)watch_skipped(run->watch));
  char *text = result ? json_dumps(result, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(12)) : NULL;
  st = text ? file_write(path, text, strlen(text)) : fail(E_MEMORY, "out of memory");
  free(text);
out:
  json_decref(first);
  json_decref(last);
  json_decref(monitors);
  json_decref(result);
  return st;
}

enum status outputs_write(const struct run *run, double elapsed_s) {
  char final_path[PATH_MAX], backbone_path[PATH_MAX], metrics_path[PATH_MAX];
  struct weights_metadata m = {0};
  enum status st = OK;
  snprintf(final_path, sizeof final_path, "%s/final.safetensors", run->folder);
  snprintf(backbone_path, sizeof backbone_path, "%s/backbone.safetensors", run->folder);
  snprintf(metrics_path, sizeof metrics_path, "%s/metrics.jsonl", run->folder);
  describe_weights(&m, run);
  TRY(weights_save(run->step->model, final_path, m.entries, N_METADATA));
  TRY(weights_save_backbone(run->step->model, backbone_path, m.entries, N_METADATA));
  TRY(write_result(run, final_path, metrics_path, elapsed_s));
out:
  return st;
}
