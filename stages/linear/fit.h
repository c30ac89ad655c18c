/* One L-BFGS fit of the softmax objective (liblbfgs: Nocedal's recursion, H0 = y's / y'y, More-Thuente
 * strong-Wolfe line search).
 *
 * The first trial step is min(1, 1/|g|_1) along -g, or the whole step in a preconditioner's variables; later
 * ones are 1. When a line search fails, which near a minimum means that float64 can tell the points apart no
 * longer, the fit starts once more from where it stands without its history, and ends for good if that gains
 * nothing.
 *
 * liblbfgs keeps its vectors on the host, whatever the device: a point goes there and its gradient comes back, some
 * megabytes beside the features that stay. */
#ifndef LINEAR_FIT_H
#define LINEAR_FIT_H

#include "base/status.h"
#include "precondition.h"

struct fit_rules {
  double relative_gradient; /* stop at |g|_2 <= this * max(1, |theta|_2); 0: off */
  double largest_gradient;  /* stop at |g|_inf <= this; 0: off */
  int64_t history;          /* pairs kept */
  int64_t iterations, evaluations,
      line_search; /* at most; evaluations 0: no limit; line_search: per iteration */
  double c1, c2;   /* sufficient decrease and curvature */
};

extern const struct fit_rules fit_default, fit_paper;

enum fit_stop { FIT_CONVERGED, FIT_ITERATIONS, FIT_EVALUATIONS, FIT_PRECISION };
const char *fit_stop_name(enum fit_stop stop);

struct fit_report {
  double objective;
  int64_t iterations, evaluations;
  enum fit_stop stop;
};

/* theta [softmax_regression_params]: the start in, the minimiser out. `preconditioner` is of the same rows, or NULL.
 * Errors: E_NUMERIC (data not finite), E_MEMORY, E_DEVICE, E_INTERRUPTED (a signal asked to stop). */
enum status fit_run(struct softmax_regression *regression, struct preconditioner *preconditioner,
                    struct sample_range rows, double l2, const struct fit_rules *rules, double *theta,
                    struct fit_report *report);

#endif
