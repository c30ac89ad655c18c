/* Layer normalisation (Ba et al. 2016): every row by its own mean and biased variance.
 *
 *   y = gamma (x - mean) / sqrt(var + 1e-5) + beta
 *
 * x [N,D], gamma, beta [D] -> y [N,D]. Differentiable in all three. Errors: E_SHAPE. */
#ifndef NN_LAYER_NORM_H
#define NN_LAYER_NORM_H

#include "nn/graph.h"

struct value layer_norm(struct graph *g, struct value x, struct value gamma, struct value beta);

struct layer_norm_attr {
  double eps;
};

#endif
