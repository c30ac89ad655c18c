/* Joins matrices: axis 0 puts rows below each other (xs [Ni,D] -> [sum Ni, D]), axis 1 columns side by side
 * (xs [N,Di] -> [N, sum Di]). At most 64 parts. Errors: E_SHAPE, E_ARG (axis, count). */
#ifndef NN_CONCAT_H
#define NN_CONCAT_H

#include "nn/graph.h"

struct value concat(struct graph *g, int axis, const struct value *xs, int n);

struct concat_attr {
  int64_t axis;
};

#endif
