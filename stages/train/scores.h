/* What frozen features are worth, cheaply: a nearest-neighbour vote and a linear probe, both from cosines between
 * held-out images and a bank of labelled ones. They rank the moments of one run; the number to publish is that of
 * tandem-linear.
 *
 *   knn    the weighted vote of Wu et al. ("Unsupervised feature learning via non-parametric instance
 *          discrimination", 2018): the k = 20 most similar vote for their class with weight exp(cos / 0.07)
 *   probe  ridge regression of the classes' indicators on unit features and a constant, solved exactly in its
 *          dual: A = (K + lambda I)^-1 Y, K_ij = cos + 1, lambda = 0.1; the largest output is the class
 *
 * Of equals the first wins: the earlier image of the bank, the lower class. One thread; its result does not
 * depend on the machine's number of cores. */
#ifndef TRAIN_SCORES_H
#define TRAIN_SCORES_H

#include <stdint.h>

#include "base/status.h"

struct labelled_rows {
  float *x;         /* [n, dim] */
  const int32_t *y; /* [n], each in [0, classes) */
  int64_t n;
};

struct scores {
  double knn, probe; /* shares of held-out images that get their class */
};

/* Scales the rows of both to length 1. Errors: E_NUMERIC (features not finite), E_MEMORY. */
enum status scores_measure(struct scores *out, const struct labelled_rows *bank,
                           const struct labelled_rows *held, int64_t dim, int32_t classes);

#endif
