#include "result.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/version.h"

static json_t *fit_json(const struct fit_report *fit) {
  return json_pack("{s:f, s:I, s:I, s:s}", "objective", fit->objective, "iterations",
                   (json_int_t)fit->iterations, "evaluations", (json_int_t)fit->evaluations, "stop",
                   fit_stop_name(fit->stop));
}

static json_t *validation_json(const struct sweep *sweep) {
  json_t *list = json_array();
  for (int k = 0; list && k < SWEEP_POINTS; k++) {
    const struct sweep_point *p = &sweep->points[k];
    json_array_append_new(list, json_pack("{s:f, s:f, s:f, s:o}", "l2", p->l2, "top1", p->validation.top1,
                                          "class_mean", p->validation.class_mean, "fit", fit_json(&p->fit)));
  }
  return list;
}

/* accuracy is null for a class that the test split lacks. */
static json_t *classes_json(const struct evaluation *e) {
  json_t *list = json_array();
  for (size_t c = 0; list && c < e->dataset->n_classes; c++) {
    int64_t correct = e->sweep->test_correct[c], count = e->sweep->test_count[c];
    json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o}", "name", e->dataset->classes[c], "count",
                                          (json_int_t)count, "correct", (json_int_t)correct, "accuracy",
                                          count ? json_real((double)correct / (double)count) : json_null()));
  }
  return list;
}

static json_t *triple(const double v[3]) { return json_pack("[f, f, f]", v[0], v[1], v[2]); }

static json_t *settings_json(const struct evaluation *e) {
  const struct linear_options *o = e->options;
  const struct weights_source *s = e->source;
  json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I}", "device", o->device.device, "precision",
                        o->device.precision, "plans", device_plans_name(&o->device), "protocol", o->protocol,
                        "metric", o->metric, "threads", (json_int_t)o->device.threads, "stem", s->model.stem,
                        "width", (json_int_t)s->model.width);
  json_t *more =
      json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:o, s:o, s:s, s:o}", "arch", s->model.arch, "size",
                (json_int_t)s->size, "train-split", o->train_split, "test-split", o->test_split, "split-seed",
                (json_int_t)o->split_seed, "batch", (json_int_t)o->batch, "mean", triple(s->mean), "std",
                triple(s->std), "normalisation", s->has_mean_std ? "weights" : "dataset", "policy",
                json_loads(e->policy, 0, NULL));
  if (!j || !more || json_object_update(j, more) != 0) json_decref(j), j = NULL;
  json_decref(more);
  return j;
}

static json_t *result_json(const struct evaluation *e) {
  const struct sweep *s = e->sweep;
  json_t *j = json_pack("{s:s, s:s, s:f, s:f, s:f, s:I}", "stage", "linear", "version", TANDEM_VERSION,
                        "top1", s->test.top1, "class_mean", s->test.class_mean, "l2", s->points[s->best].l2,
                        "l2_index", (json_int_t)s->best);
  json_t *more =
      json_pack("{s:s, s:{s:s, s:s}, s:{s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:o}", "weights", e->source->id,
                "dataset", "name", e->dataset->name, "fingerprint", e->dataset->fingerprint, "counts",
                "train", (json_int_t)e->n_train, "validation", (json_int_t)e->n_validation, "test",
                (json_int_t)e->n_test, "features", (json_int_t)e->dim, "validation", validation_json(s),
                "refit", fit_json(&s->refit), "classes", classes_json(e), "settings", settings_json(e));
  json_t *rest = json_pack("{s:{s:s, s:s}, s:{s:f, s:f, s:b}}", "paths", "weights", e->options->weights,
                           "dataset", e->options->feed.dataset, "timing", "features_s", e->features_s,
                           "fits_s", e->fits_s, "features_reused", (int)e->reused);
  if (!j || !more || !rest || json_object_update(j, more) != 0 || json_object_update(j, rest) != 0)
    json_decref(j), j = NULL;
  json_decref(more);
  json_decref(rest);
  return j;
}

enum status result_write(const struct evaluation *e, const char *path) {
  enum status st = OK;
  char *text = NULL;
  json_t *j = result_json(e);
  size_t n = 0;
  if (j) text = json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS);
  if (!text) {
    st = fail(E_MEMORY, "out of memory while writing %s", path);
    goto out;
  }
  n = strlen(text);
  text[n] = '\n'; /* in the place of its end: file_write is told the length */
  st = file_write(path, text, n + 1);
out:
  json_decref(j);
  free(text);
  return st;
}

enum status classifier_write(const struct evaluation *e, const char *path) {
  enum status st;
  int64_t C = (int64_t)e->dataset->n_classes, D = e->dim;
  float *weight = malloc((size_t)(C * D) * sizeof *weight), *bias = malloc((size_t)C * sizeof *bias);
  if (!weight || !bias) {
    st = fail(E_MEMORY, "out of memory while writing %s", path);
    goto out;
  }
  for (int64_t c = 0; c < C; c++) {
    const double *theta = e->sweep->theta + c * (D + 1);
    for (int64_t j = 0; j < D; j++) weight[c * D + j] = (float)theta[j];
    bias[c] = (float)theta[D];
  }
  const struct tensor_view tensors[] = {
      {"fc.weight", DTYPE_F32, 2, {C, D}, weight, (size_t)(C * D) * sizeof *weight},
      {"fc.bias", DTYPE_F32, 1, {C}, bias, (size_t)C * sizeof *bias}};
  const struct metadata metadata[] = {{"weights", e->source->id}, {"dataset", e->dataset->fingerprint}};
  st = safetensors_write(path, tensors, 2, metadata, 2);
out:
  free(weight);
  free(bias);
  return st;
}

/* Half the width of the 95% interval of a share of n, in percent (normal approximation). */
static double half_interval(double share, int64_t n) { return 196 * sqrt(share * (1 - share) / (double)n); }

void result_print(const struct evaluation *e) {
  const struct sweep *s = e->sweep;
  const struct sweep_point *best = &s->points[s->best];
  printf("linear evaluation of %s on %s\n", e->options->weights, e->dataset->name);
  printf("  top-1 %.2f%% (+-%.2f)   class mean %.2f%%   of %lld test images, %zu classes\n",
         100 * s->test.top1, half_interval(s->test.top1, e->n_test), 100 * s->test.class_mean,
         (long long)e->n_test, e->dataset->n_classes);
  printf("  l2 %.3g (%d of %d; validation top-1 %.2f%%)   %lld features   fitted on %lld + %lld images\n",
         best->l2, s->best + 1, SWEEP_POINTS, 100 * best->validation.top1, (long long)e->dim,
         (long long)e->n_train, (long long)e->n_validation);
  printf("  features %.1f s%s, fits %.1f s\n", e->features_s, e->reused ? " (read from the store)" : "",
         e->fits_s);
}
