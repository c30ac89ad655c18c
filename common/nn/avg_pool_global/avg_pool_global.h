/* The mean over all positions: x [N,C,H,W] -> y [N,C]. Errors: E_SHAPE. */
#ifndef NN_AVG_POOL_GLOBAL_H
#define NN_AVG_POOL_GLOBAL_H

#include "nn/graph.h"

struct value avg_pool_global(struct graph *g, struct value x);

#endif
