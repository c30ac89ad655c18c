#include "sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"

double sweep_l2(int k) { return pow(10, -6 + 11.0 * k / 44); }

struct score score_of(const int64_t *correct, const int64_t *count, int32_t classes) {
  int64_t hits = 0, rows = 0, present = 0;
  double sum = 0;
  for (int32_t c = 0; c < classes; c++) {
    if (!count[c]) continue;
    hits += correct[c];
    rows += count[c];
    present++;
    sum += (double)correct[c] / (double)count[c];
  }
  if (!present) return (struct score){0};
  return (struct score){.top1 = (double)hits / (double)rows, .class_mean = sum / (double)present};
}

/* What a run holds besides its result. */
struct work {
  struct softmax_regression *regression;
  struct sample_set *fitting, *test;
  struct preconditioner *preconditioner;
  struct progress *progress;
  double *theta; /* the warm start */
  int64_t *correct, *count;
  int32_t classes;
};

static enum status work_open(struct work *w, struct sweep *out, const struct sweep_plan *plan,
                             const struct samples *fitting, const struct samples *test) {
  enum status st = OK;
  const struct softmax_regression_config config = {.device = plan->device,
                                                   .threads = plan->threads,
                                                   .dim = fitting->dim,
                                                   .classes = fitting->classes,
                                                   .most_rows = fitting->n > test->n ? fitting->n : test->n};
  TRY(softmax_regression_open(&w->regression, &config));
  TRY(softmax_regression_load(&w->fitting, w->regression, fitting));
  TRY(softmax_regression_load(&w->test, w->regression, test));
  TRY(progress_open(&w->progress, "fit", "fits", SWEEP_POINTS + 1));
  size_t n = (size_t)softmax_regression_params(w->regression), classes = (size_t)fitting->classes;
  w->classes = fitting->classes;
  w->theta = calloc(n, sizeof *w->theta);
  w->correct = calloc(classes, sizeof *w->correct);
  w->count = calloc(classes, sizeof *w->count);
  out->theta = calloc(n, sizeof *out->theta);
  out->test_correct = calloc(classes, sizeof *out->test_correct);
  out->test_count = calloc(classes, sizeof *out->test_count);
  if (!w->theta || !w->correct || !w->count || !out->theta || !out->test_correct || !out->test_count)
    st = fail(E_MEMORY, "out of memory for a classifier of %zu values", n);
out:
  return st;
}

static void work_close(struct work *w) {
  preconditioner_close(&w->preconditioner);
  softmax_regression_unload(&w->test);
  softmax_regression_unload(&w->fitting);
  softmax_regression_close(&w->regression);
  progress_close(&w->progress);
  free(w->theta);
  free(w->correct);
  free(w->count);
}

/* The preconditioner of these rows takes the place of the one before. */
static enum status precondition(struct work *w, const struct sweep_plan *plan, struct sample_range rows) {
  preconditioner_close(&w->preconditioner);
  return plan->precondition ? preconditioner_open(&w->preconditioner, w->regression, rows) : OK;
}

/* Fits every strength on `train`; leaves the best classifier in out->theta. */
static enum status choose(struct work *w, struct sweep *out, const struct sweep_plan *plan,
                          struct sample_range train, struct sample_range validation) {
  enum status st = OK;
  double best = -1;
  char note[64];
  TRY(precondition(w, plan, train));
  for (int k = 0; k < SWEEP_POINTS; k++) {
    struct sweep_point *p = &out->points[k];
    p->l2 = sweep_l2(k);
    TRY(fit_run(w->regression, w->preconditioner, train, p->l2, &plan->rules, w->theta, &p->fit));
    TRY(softmax_regression_count(w->regression, validation, w->theta, w->correct, w->count));
    p->validation = score_of(w->correct, w->count, w->classes);
    double value = plan->class_mean ? p->validation.class_mean : p->validation.top1;
    if (value > best) {
      best = value;
      out->best = k;
      memcpy(out->theta, w->theta, (size_t)softmax_regression_params(w->regression) * sizeof *w->theta);
    }
    snprintf(note, sizeof note, "l2 %.1e  validation %.2f%%", p->l2, 100 * value);
    progress_set(w->progress, k + 1, note);
  }
out:
  return st;
}

enum status sweep_run(struct sweep *out, const struct sweep_plan *plan, const struct samples *fitting,
                      int64_t n_train, const struct samples *test) {
  *out = (struct sweep){0};
  enum status st = OK;
  struct work w = {0};
  int64_t n_validation = fitting->n - n_train;
  if (n_train < 1 || n_validation < 1 || test->n < 1)
    return fail(E_ARG, "%lld training, %lld validation and %lld test images: each part needs at least one",
                (long long)n_train, (long long)n_validation, (long long)test->n);
  TRY(work_open(&w, out, plan, fitting, test));
  const struct sample_range train = {w.fitting, 0, n_train}, validation = {w.fitting, n_train, n_validation},
                            all = {w.fitting, 0, fitting->n}, scored = {w.test, 0, test->n};
  TRY(choose(&w, out, plan, train, validation));
  TRY(precondition(&w, plan, all));
  TRY(fit_run(w.regression, w.preconditioner, all, out->points[out->best].l2, &plan->rules, out->theta,
              &out->refit));
  TRY(softmax_regression_count(w.regression, scored, out->theta, out->test_correct, out->test_count));
  out->test = score_of(out->test_correct, out->test_count, test->classes);
  progress_set(w.progress, SWEEP_POINTS + 1, NULL);
out:
  work_close(&w);
  if (st != OK) sweep_free(out);
  return st;
}

void sweep_free(struct sweep *sweep) {
  free(sweep->theta);
  free(sweep->test_correct);
  free(sweep->test_count);
  *sweep = (struct sweep){0};
}
