/* y[j] = x[rows[j]]: x [N,D], n indices into its rows (copied; any order, repeats allowed) -> y [n,D]. The
 * gradient of a row is the sum over its uses. Errors: E_SHAPE, E_ARG (no index, or one outside x). */
#ifndef NN_GATHER_ROWS_H
#define NN_GATHER_ROWS_H

#include "nn/graph.h"

/* The node's descriptor is the indices, int32_t[n]. */
struct value gather_rows(struct graph *g, struct value x, const int32_t *rows, int64_t n);

#endif
