/* InfoNCE over two aligned sets of embeddings (STL eq. 10; SimCLR's NT-Xent), normalisation included.
 *
 *   U = rows of [z1; z2], each divided by max(its norm, 1e-12);  S = U U^T / temperature, diagonal -infinity
 *   loss = mean over the 2N rows of -log softmax(S)[i, (i+N) mod 2N], in nats
 *
 * z1, z2 [N,D] -> [1]. Differentiable in both. Errors: E_SHAPE, E_ARG (temperature not above 0). */
#ifndef NN_INFO_NCE_H
#define NN_INFO_NCE_H

#include "nn/graph.h"

struct value info_nce(struct graph *g, struct value z1, struct value z2, double temperature);

struct info_nce_attr {
  double temperature, min_norm;
};

#endif
