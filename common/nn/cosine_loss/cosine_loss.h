/* How far rows point apart: BYOL's loss and SimSiam's, normalisation included.
 *
 *   y = offset - scale mean_i cos(p_i, z_i),  cos(a, b) = <a, b> / (max(|a|, 1e-12) max(|b|, 1e-12))
 *
 * p [N,D] predictions, z [N,D] targets -> [1]. Differentiable in p alone: the gradient into z is stopped.
 * Errors: E_SHAPE. */
#ifndef NN_COSINE_LOSS_H
#define NN_COSINE_LOSS_H

#include "nn/graph.h"

struct value cosine_loss(struct graph *g, struct value p, struct value z, double offset, double scale);

struct cosine_loss_attr {
  double offset, scale, min_norm;
};

#endif
