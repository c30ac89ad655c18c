/* Multinomial logistic regression on fixed features: the objective of linear evaluation, its gradient, and
 * scores.
 *
 *   J(W, b) = sum_n -log softmax(W x_n + b)[y_n] + l2 (|W|^2 + |b|^2)
 *
 * The cross-entropy is a sum, not a mean, and the penalty includes the bias (STL appendix C, after AugSelf's
 * public evaluation). Features stay float32; everything computed from them is float64. Rows are cut into a
 * fixed number of lanes whose partial sums are added in order, so the result does not depend on the number of
 * threads. A struct softmax is scratch memory for one caller at a time. While one is open OpenBLAS runs
 * single-threaded: the lanes are the parallelism. */
#ifndef LINEAR_SOFTMAX_H
#define LINEAR_SOFTMAX_H

#include <stdint.h>

#include "base/status.h"

/* Borrowed rows. Classes that no row has are allowed: their columns are simply never the answer. */
struct samples {
  const float *x;   /* [n, dim] */
  const int32_t *y; /* [n], each in [0, classes) */
  int64_t n, dim;
  int32_t classes;
};

/* Copies rows [first, first + n) to float64 with a 1 after each row's features: rows [n, dim + 1],
 * overwritten. */
void samples_widen(const struct samples *data, int64_t first, int64_t n, double *rows);

struct softmax;

/* For samples of up to this dim and number of classes. threads: 0 means all cores. E_ARG, E_MEMORY. */
enum status softmax_open(struct softmax **out, int64_t dim, int32_t classes, int threads);
void softmax_close(struct softmax **softmax);

/* Number of parameters: theta is [classes, dim + 1], each class's weights and then its bias. */
int64_t softmax_params(const struct softmax *softmax);

/* Returns J at theta [softmax_params]; gradient [softmax_params] is overwritten. Units: nats. */
double softmax_objective(struct softmax *softmax, const struct samples *data, double l2, const double *theta,
                         double *gradient);

/* How many rows of each class there are and how many of them get their class as the largest logit (the first
 * of equals). Both [classes], overwritten. */
void softmax_count(struct softmax *softmax, const struct samples *data, const double *theta, int64_t *correct,
                   int64_t *count);

/* Right answers over rows, and the mean over the classes that have
 * rows of each one's share. Both in [0, 1]. */
struct score {
  double top1, class_mean;
};
struct score score_of(const int64_t *correct, const int64_t *count, int32_t classes);

#endif
