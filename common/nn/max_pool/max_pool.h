/* 2-D max pooling over kernel x kernel windows; padding never wins; a window of NaN alone gives NaN. The
 * gradient goes to the first maximum of a window in row-major order (as in PyTorch). x [N,C,H,W] ->
 * [N,C,(H+2pad-kernel)/stride+1,(W+2pad-kernel)/stride+1]. Errors: E_SHAPE; E_ARG for kernel or stride < 1,
 * or a pad outside 0..kernel/2. */
#ifndef NN_MAX_POOL_H
#define NN_MAX_POOL_H

#include "nn/graph.h"

struct value max_pool(struct graph *g, struct value x, int kernel, int stride, int pad);

struct max_pool_attr {
  int64_t kernel, stride, pad;
};

#endif
