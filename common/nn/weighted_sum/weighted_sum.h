/* y = sum_i weights[i] scalars[i]: n numbers of shape [1] and as many constants (copied) -> [1]. Errors:
 * E_SHAPE, E_ARG. */
#ifndef NN_WEIGHTED_SUM_H
#define NN_WEIGHTED_SUM_H

#include "nn/graph.h"

/* The node's descriptor is the weights, double[n]. */
struct value weighted_sum(struct graph *g, const struct value *scalars, const double *weights, int n);

#endif
