/* 2-D convolution (cross-correlation, as in every framework), square kernel, zero padding, no bias.
 *
 *   y[n,o,p,q] = sum_{c,i,j} x[n, c, p*stride - pad + i, q*stride - pad + j] w[o,c,i,j]
 *
 * x [N,C,H,W], w [O,C,k,k] -> y [N,O,(H+2pad-k)/stride+1,(W+2pad-k)/stride+1]. Differentiable in x and w.
 * Errors (graph_plan returns them): E_SHAPE, E_ARG for stride < 1 or pad < 0. */
#ifndef NN_CONV2D_H
#define NN_CONV2D_H

#include "nn/graph.h"

struct value conv2d(struct graph *g, struct value x, struct value w, int stride, int pad);

struct conv2d_attr {
  int64_t stride, pad;
};

#endif
