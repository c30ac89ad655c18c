/* The linear-evaluation protocol (STL appendix C; Kornblith et al. 2019): 45 strengths of l2 from 1e-6 to
 * 1e5, logarithmic and ascending, each fit started from the previous solution; the best on the validation
 * part, the smallest of equals, is fitted once more on training and validation parts together and scored on
 * the test split. */
#ifndef LINEAR_SWEEP_H
#define LINEAR_SWEEP_H

#include <stdbool.h>

#include "fit.h"

enum { SWEEP_POINTS = 45 };

/* l2 of point k: 10^(-6 + 11 k / 44). */
double sweep_l2(int k);

/* Right answers over rows, and the mean over the classes that have
 * rows of each one's share. Both in [0, 1]. */
struct score {
  double top1, class_mean;
};
struct score score_of(const int64_t *correct, const int64_t *count, int32_t classes);

struct sweep_plan {
  const char *device; /* "ref", "cpu", "cuda[:N]" */
  struct fit_rules rules;
  bool precondition;
  bool class_mean; /* choose by class-mean accuracy; otherwise by top-1 */
  int threads;     /* 0: all cores */
};

struct sweep_point {
  double l2;
  struct score validation;
  struct fit_report fit;
};

struct sweep {
  struct sweep_point points[SWEEP_POINTS];
  int best;
  struct fit_report refit;
  struct score test;
  int64_t *test_correct, *test_count; /* [classes] */
  double *theta;                      /* [classes, dim + 1], the refitted classifier */
};

/* `fitting` holds the training part, n_train rows, followed by the validation part; at least one row each.
 * Shows its progress. On failure `out` is empty. Errors: E_ARG, E_NUMERIC, E_MEMORY, E_DEVICE, E_INTERRUPTED. */
enum status sweep_run(struct sweep *out, const struct sweep_plan *plan, const struct samples *fitting,
                      int64_t n_train, const struct samples *test);
void sweep_free(struct sweep *sweep);

#endif
