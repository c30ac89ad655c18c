/* y = x[:, first : first + count]: x [N,D] -> [N,count]. Errors: E_SHAPE, E_ARG (columns that x does not
 * have). */
#ifndef NN_COLUMNS_H
#define NN_COLUMNS_H

#include "nn/graph.h"

struct value columns(struct graph *g, struct value x, int64_t first, int64_t count);

struct columns_attr {
  int64_t first;
};

#endif
