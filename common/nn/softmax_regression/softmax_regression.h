/* Multinomial logistic regression on fixed features: the objective of linear evaluation, its gradient, and what a
 * minimiser and a score need besides, on one backend.
 *
 *   J(W, b) = sum_n -log softmax(W x_n + b)[y_n] + l2 (|W|^2 + |b|^2)
 *
 * The cross-entropy is a sum, not a mean, and the penalty includes the bias (STL appendix C, after AugSelf's
 * public evaluation). Features stay float32; everything computed from them is float64, whatever the device. Sums
 * have an order that sizes alone fix: the number of threads changes no byte, nor does another run on the same GPU.
 *
 * Samples are loaded once and looked at in parts, so that they cross to a device once and not with every
 * evaluation. A struct softmax_regression is scratch memory for one caller at a time, on the thread that opened it;
 * while one is open that thread's OpenMP regions, and with them OpenBLAS, are single-threaded where they do not say
 * otherwise: what is parallel here says so. */
#ifndef NN_SOFTMAX_REGRESSION_H
#define NN_SOFTMAX_REGRESSION_H

#include <stdint.h>

#include "base/status.h"

struct softmax_regression_config {
  const char *device; /* as in graph_config: "ref" (plain loops), "cpu", "cuda[:N]" */
  int threads;        /* 0: as many as OpenMP would take */
  int64_t dim;
  int32_t classes;
  int64_t most_rows; /* of the sets that will be loaded */
};

struct softmax_regression;

/* Errors: E_ARG, E_DEVICE (the device, or its kernel, is missing), E_MEMORY. */
enum status softmax_regression_open(struct softmax_regression **out,
                                    const struct softmax_regression_config *config);
void softmax_regression_close(struct softmax_regression **regression); /* accepts NULL; nulls */

/* Number of parameters: theta is [classes, dim + 1], each class's weights and then its bias. */
int64_t softmax_regression_params(const struct softmax_regression *regression);
int32_t softmax_regression_classes(const struct softmax_regression *regression);
int softmax_regression_threads(const struct softmax_regression *regression);

/* Rows in the host's memory. Classes that no row has are allowed: their columns are simply never the answer. */
struct samples {
  const float *x;   /* [n, dim] */
  const int32_t *y; /* [n], each in [0, classes) */
  int64_t n, dim;
  int32_t classes;
};

/* Samples where the device reads them: copied, or on the host's own backends borrowed. Unload before closing.
 * Errors: E_ARG (not of the sizes that were opened), E_MEMORY (says how much is missing), E_DEVICE. */
struct sample_set;
enum status softmax_regression_load(struct sample_set **out, struct softmax_regression *regression,
                                    const struct samples *samples);
void softmax_regression_unload(struct sample_set **set); /* accepts NULL; nulls */

/* Rows [first, first + n) of a set; n >= 1. */
struct sample_range {
  const struct sample_set *set;
  int64_t first, n;
};

/* J at theta [params], in nats, and its gradient [params]; both overwritten. Not finite where features or theta are
 * not. Errors: E_DEVICE; outputs then undefined. */
enum status softmax_regression_objective(struct softmax_regression *regression, struct sample_range rows,
                                         double l2, const double *theta, double *value, double *gradient);

/* How many rows of each class there are and how many of them get their class as the largest logit (the first
 * of equals). Both [classes], overwritten. Errors: E_DEVICE. */
enum status softmax_regression_count(struct softmax_regression *regression, struct sample_range rows,
                                     const double *theta, int64_t *correct, int64_t *count);

/* A'A of A = [X, 1]: gram [dim + 1, dim + 1], of which the lower triangle is written (=). Errors: E_MEMORY, E_DEVICE. */
enum status softmax_regression_gram(struct softmax_regression *regression, struct sample_range rows,
                                    double *gram);

#endif
