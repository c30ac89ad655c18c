/* Softmax cross-entropy: logits [N,C], the class of every row (copied) -> [1]
 *
 *   y = mean_i (log sum_c exp x[i,c] - x[i, class_i]), in nats
 *
 * Errors: E_SHAPE, E_ARG (a class outside [0,C)). */
#ifndef NN_CROSS_ENTROPY_H
#define NN_CROSS_ENTROPY_H

#include "nn/graph.h"

/* The node's descriptor is the classes, int32_t[N]. */
struct value cross_entropy(struct graph *g, struct value logits, const int32_t *classes);

#endif
