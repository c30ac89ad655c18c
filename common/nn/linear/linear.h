/* y = x w^T [+ bias]: x [N,I], w [O,I], bias [O] or the value with id 0 -> y [N,O]. Differentiable in all
 * three. Errors: E_SHAPE. */
#ifndef NN_LINEAR_H
#define NN_LINEAR_H

#include "nn/graph.h"

struct value linear(struct graph *g, struct value x, struct value w, struct value bias);

#endif
