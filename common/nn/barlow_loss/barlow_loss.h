/* Barlow Twins (Zbontar et al. 2021, eq. 1): the columns of both sides, standardised over the batch, shall
 * correlate with themselves and with no other.
 *
 *   z^ = (z - mean) / sqrt(var + 1e-5) by columns, var biased;  C = z1^T z2 / N  [D,D]
 *   loss = sum_i (1 - C_ii)^2 + off_diagonal sum_{i != j} C_ij^2
 *
 * z1, z2 [N,D] -> [1]. Differentiable in both. Errors: E_SHAPE. */
#ifndef NN_BARLOW_LOSS_H
#define NN_BARLOW_LOSS_H

#include "nn/graph.h"

struct value barlow_loss(struct graph *g, struct value z1, struct value z2, double off_diagonal);

struct barlow_loss_attr {
  double off_diagonal, eps;
};

#endif
