#include "sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"

double sweep_l2(int k) { return pow(10, -6 + 11.0 * k / 44); }

/* What a run holds besides its result. */
struct work {
  struct softmax *softmax;
  struct preconditioner *preconditioner;
  struct progress *progress;
  double *theta; /* the warm start */
  int64_t *correct, *count;
};

static enum status work_open(struct work *w, struct sweep *out, const struct sweep_plan *plan,
                             const struct samples *train) {
  enum status st = OK;
  TRY(softmax_open(&w->softmax, train->dim, train->classes, plan->threads));
  if (plan->precondition) TRY(preconditioner_open(&w->preconditioner, train, plan->threads));
  TRY(progress_open(&w->progress, "fit", "fits", SWEEP_POINTS + 1));
  size_t n = (size_t)softmax_params(w->softmax), classes = (size_t)train->classes;
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
  softmax_close(&w->softmax);
  preconditioner_close(&w->preconditioner);
  progress_close(&w->progress);
  free(w->theta);
  free(w->correct);
  free(w->count);
}

static struct score score(struct work *w, const struct samples *data) {
  softmax_count(w->softmax, data, w->theta, w->correct, w->count);
  return score_of(w->correct, w->count, data->classes);
}

/* Fits every strength on `train`; leaves the best classifier in out->theta. */
static enum status choose(struct work *w, struct sweep *out, const struct sweep_plan *plan,
                          const struct samples *train, const struct samples *validation) {
  enum status st = OK;
  double best = -1;
  char note[64];
  for (int k = 0; k < SWEEP_POINTS; k++) {
    struct sweep_point *p = &out->points[k];
    p->l2 = sweep_l2(k);
    TRY(fit_run(w->softmax, w->preconditioner, train, p->l2, &plan->rules, w->theta, &p->fit));
    p->validation = score(w, validation);
    double value = plan->class_mean ? p->validation.class_mean : p->validation.top1;
    if (value > best) {
      best = value;
      out->best = k;
      memcpy(out->theta, w->theta, (size_t)softmax_params(w->softmax) * sizeof *w->theta);
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
  struct samples train = *fitting, validation = *fitting;
  train.n = n_train;
  validation.x += n_train * fitting->dim;
  validation.y += n_train;
  validation.n = n_validation;
  TRY(work_open(&w, out, plan, &train));
  TRY(choose(&w, out, plan, &train, &validation));
  preconditioner_close(&w.preconditioner);
  if (plan->precondition) TRY(preconditioner_open(&w.preconditioner, fitting, plan->threads));
  TRY(fit_run(w.softmax, w.preconditioner, fitting, out->points[out->best].l2, &plan->rules, out->theta,
              &out->refit));
  softmax_count(w.softmax, test, out->theta, out->test_correct, out->test_count);
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
