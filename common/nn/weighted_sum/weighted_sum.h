/* y = sum_i weights[i] values[i]: n values of one shape, [N] or [N,D], and as many constants (copied) -> y of
 * that shape. Errors: E_SHAPE, E_ARG (no value). */
#ifndef NN_WEIGHTED_SUM_H
#define NN_WEIGHTED_SUM_H

#include "nn/graph.h"

/* The node's descriptor is the weights, double[n]. */
struct value weighted_sum(struct graph *g, const struct value *values, const double *weights, int n);

#endif
