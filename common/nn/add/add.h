/* y = a + b, elementwise, of one shape (no broadcasting). Differentiable in both. Errors: E_SHAPE. */
#ifndef NN_ADD_H
#define NN_ADD_H

#include "nn/graph.h"

struct value add(struct graph *g, struct value a, struct value b);

#endif
