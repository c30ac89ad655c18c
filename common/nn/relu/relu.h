/* y = max(x, 0), elementwise; the derivative at 0 is 0. Any shape.
 * After a BatchNorm use its `relu` instead. */
#ifndef NN_RELU_H
#define NN_RELU_H

#include "nn/graph.h"

struct value relu(struct graph *g, struct value x);

#endif
