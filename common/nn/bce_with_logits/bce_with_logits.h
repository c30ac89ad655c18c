/* Binary cross-entropy of a probability given by its logit (AugSelf's flip head), in nats.
 *
 *   y = mean (log(1 + e^x) - t x),  t in [0, 1]
 *
 * over all elements of x, t [N,D] -> [1]. The target t is not differentiated. Errors: E_SHAPE. */
#ifndef NN_BCE_WITH_LOGITS_H
#define NN_BCE_WITH_LOGITS_H

#include "nn/graph.h"

struct value bce_with_logits(struct graph *g, struct value x, struct value t);

#endif
