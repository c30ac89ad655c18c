/* Regression of numbers within (-1, 1) (AugSelf's crop, colour and blur heads).
 *
 *   y = mean (tanh x - t)^2
 *
 * over all elements of x, t [N,D] -> [1]. The target t is not differentiated. Errors: E_SHAPE. */
#ifndef NN_TANH_MSE_H
#define NN_TANH_MSE_H

#include "nn/graph.h"

struct value tanh_mse(struct graph *g, struct value x, struct value t);

#endif
