#include "fit.h"

#include <lbfgs.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const struct fit_rules fit_default = {
    .relative_gradient = 1e-5, .history = 20, .iterations = 500, .line_search = 25, .c1 = 1e-4, .c2 = 0.9};
const struct fit_rules fit_paper = {.largest_gradient = 1e-10,
                                    .history = 100,
                                    .iterations = 5000,
                                    .evaluations = 6250,
                                    .line_search = 25,
                                    .c1 = 1e-4,
                                    .c2 = 0.9};

const char *fit_stop_name(enum fit_stop stop) {
  static const char *const names[] = {"gradient", "iterations", "evaluations", "precision"};
  return names[stop];
}

/* What the progress callback answers to end a run; positive, beyond liblbfgs's own codes. */
enum { ANSWER_STOP = 100, ANSWER_INTERRUPTED };

/* liblbfgs searches over u, where theta = scale * u, or scale * u L^-1 under a preconditioner. It starts
 * every run with a step of length 1 along the gradient; the scale makes that the first step the header
 * promises, and changes nothing else (L-BFGS is invariant to a uniform scale). */
struct fit {
  struct softmax_regression *regression;
  const struct preconditioner *preconditioner;
  struct sample_range rows;
  const struct fit_rules *rules;
  struct fit_report *report;
  double l2, scale;
  int64_t n;
  double *theta, *gradient; /* [n] at the point evaluated last */
  enum status status;       /* not OK: the device failed, and what it gave is nothing */
};

static void theta_from(struct fit *f, const double *u) {
  for (int64_t i = 0; i < f->n; i++) f->theta[i] = f->scale * u[i];
  if (f->preconditioner) precondition_back(f->preconditioner, f->theta);
}

static double norm_of(const double *x, int64_t n) {
  double squares = 0;
  for (int64_t i = 0; i < n; i++) squares += x[i] * x[i];
  return sqrt(squares);
}

static bool converged(const struct fit *f) {
  const struct fit_rules *r = f->rules;
  double norm = norm_of(f->gradient, f->n), largest = 0;
  for (int64_t i = 0; i < f->n; i++) largest = fmax(largest, fabs(f->gradient[i]));
  return norm == 0 ||
         (r->relative_gradient > 0 && norm <= r->relative_gradient * fmax(1, norm_of(f->theta, f->n))) ||
         (r->largest_gradient > 0 && largest <= r->largest_gradient);
}

/* NaN when the device fails or has failed: liblbfgs, which cannot be told to stop within a line search, ends that soon. */
static double evaluate_at_theta(struct fit *f) {
  double value = NAN;
  if (f->status == OK)
    f->status = softmax_regression_objective(f->regression, f->rows, f->l2, f->theta, &value, f->gradient);
  f->report->evaluations++;
  return f->status == OK ? value : NAN;
}

static double evaluate(void *instance, const double *u, double *gu, const int padded, const double step) {
  (void)step;
  struct fit *f = instance;
  theta_from(f, u);
  double value = evaluate_at_theta(f);
  memcpy(gu, f->gradient, (size_t)f->n * sizeof *gu);
  if (f->preconditioner) precondition_gradient(f->preconditioner, gu);
  for (int64_t i = 0; i < f->n; i++) gu[i] *= f->scale;
  for (int64_t i = f->n; i < padded; i++) gu[i] = 0; /* a build of liblbfgs with SSE rounds n up */
  return value;
}

/* The accepted point is always the one evaluated last, so theta and its gradient are at hand. */
static int after_iteration(void *instance, const double *u, const double *gu, const double value,
                           const double u_norm, const double gu_norm, const double step, int padded, int k,
                           int searches) {
  (void)u, (void)gu, (void)u_norm, (void)gu_norm, (void)step, (void)padded, (void)k, (void)searches;
  struct fit *f = instance;
  struct fit_report *report = f->report;
  report->objective = value;
  report->iterations++;
  if (f->status != OK) return ANSWER_STOP;
  if (stop_requested()) return ANSWER_INTERRUPTED;
  if (converged(f))
    report->stop = FIT_CONVERGED;
  else if (report->iterations >= f->rules->iterations)
    report->stop = FIT_ITERATIONS;
  else if (f->rules->evaluations && report->evaluations >= f->rules->evaluations)
    report->stop = FIT_EVALUATIONS;
  else
    return 0;
  return ANSWER_STOP;
}

/* Evaluates the start, sets the scale from its gradient and says whether it is the minimum already. */
static enum status begin(struct fit *f, double *u, bool *done) {
  double sum = 0;
  f->report->objective = evaluate_at_theta(f);
  if (f->status != OK) return f->status;
  for (int64_t i = 0; i < f->n; i++) sum += fabs(f->gradient[i]);
  if (!isfinite(f->report->objective) || !isfinite(sum))
    return fail(E_NUMERIC, "the features are not finite numbers: the network that made them has diverged");
  *done = converged(f);
  if (*done) return OK;
  if (f->preconditioner) precondition_gradient(f->preconditioner, f->gradient);
  f->scale = norm_of(f->gradient, f->n) * (f->preconditioner ? 1 : fmin(1, 1 / sum));
  memcpy(u, f->theta, (size_t)f->n * sizeof *u);
  if (f->preconditioner) precondition_params(f->preconditioner, u);
  for (int64_t i = 0; i < f->n; i++) u[i] /= f->scale;
  return OK;
}

/* One run of liblbfgs from u. *failed: its line search gave up; theta is then the best point. */
static enum status descend(struct fit *f, double *u, bool *failed) {
  const struct fit_rules *r = f->rules;
  lbfgs_parameter_t p;
  lbfgs_parameter_init(&p);
  p.m = (int)r->history;
  p.epsilon = 0; /* after_iteration decides */
  p.max_linesearch = (int)r->line_search;
  p.ftol = r->c1;
  p.gtol = r->c2;
  int answer = lbfgs((int)f->n, u, NULL, evaluate, after_iteration, f, &p);
  if (f->status != OK) return f->status;
  *failed = answer < 0;
  if (*failed) theta_from(f, u);
  if (answer == LBFGSERR_OUTOFMEMORY)
    return fail(E_MEMORY, "out of memory for %lld L-BFGS pairs of %lld values", (long long)r->history,
                (long long)f->n);
  if (answer == ANSWER_INTERRUPTED)
    return fail(E_INTERRUPTED, "stopped by a signal while fitting the classifier");
  return OK;
}

enum status fit_run(struct softmax_regression *regression, struct preconditioner *preconditioner,
                    struct sample_range rows, double l2, const struct fit_rules *rules, double *theta,
                    struct fit_report *report) {
  *report = (struct fit_report){0};
  int64_t n = softmax_regression_params(regression), before = -1;
  struct fit f = {.regression = regression,
                  .preconditioner = preconditioner,
                  .rows = rows,
                  .rules = rules,
                  .report = report,
                  .l2 = l2,
                  .n = n,
                  .theta = theta};
  double *u = lbfgs_malloc((int)n);
  enum status st = OK;
  bool done = false, failed = true;
  f.gradient = malloc((size_t)n * sizeof *f.gradient);
  if (!u || !f.gradient) {
    st = fail(E_MEMORY, "out of memory for a classifier of %lld values", (long long)n);
    goto out;
  }
  if (preconditioner) TRY(preconditioner_set(preconditioner, l2));
  while (failed) {
    TRY(begin(&f, u, &done));
    if (done) break;
    if (report->iterations == before) {
      report->stop = FIT_PRECISION;
      break;
    }
    before = report->iterations;
    TRY(descend(&f, u, &failed));
  }
out:
  lbfgs_free(u);
  free(f.gradient);
  return st;
}
