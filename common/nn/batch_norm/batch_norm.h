/* Batch normalisation (Ioffe & Szegedy 2015), with the ReLU and the residual sum that follow it in one pass.
 *
 *   xhat = (x - mean) / sqrt(var + eps),  y = gamma xhat + beta [+ residual] [then max(., 0)]
 *
 * x [N,C,H,W] or [N,C] -> y of that shape; gamma, beta [C] trained; mean, var [C] running statistics
 * (buffers). In training and forward mode mean and var are those of the batch, var biased. `groups` cuts the
 * batch into that many equal parts that are normalised as if they had come in separate calls; running <-
 * (1-m) running + m batch, in the order of the groups, with the batch's unbiased variance and the graph's
 * momentum m. In inference mode the running ones are used. Differentiable in x, gamma, beta and residual.
 * Errors: E_SHAPE (also: a batch that groups do not divide), E_ARG (groups < 1, or groups of one number per
 * channel, which have no variance). */
#ifndef NN_BATCH_NORM_H
#define NN_BATCH_NORM_H

#include "nn/graph.h"

struct bn_params {
  struct value gamma, beta, mean, var;
};

struct value batch_norm(struct graph *g, struct value x, struct bn_params p, int groups, bool relu);
struct value batch_norm_add_relu(struct graph *g, struct value x, struct bn_params p, int groups,
                                 struct value residual);

struct batch_norm_attr {
  int64_t groups;
  double eps;
  bool relu, residual;
};

/* Order of the node's inputs. */
enum { BN_X, BN_GAMMA, BN_BETA, BN_MEAN, BN_VAR, BN_RESIDUAL };

#endif
