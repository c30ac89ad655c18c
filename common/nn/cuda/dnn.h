/* Convolutions of the cuda backend: one pass of one convolution is opened (an execution plan is chosen) while
 * the graph is planned and run any number of times, also while a CUDA graph is captured.
 *
 * Nothing of cuDNN shows here, so that tests compute the same on the CPU with plain loops
 * (tests/emulation/dnn_emulated.c). One thread. */
#ifndef NN_CUDA_DNN_H
#define NN_CUDA_DNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "nn/cuda/numbers.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dnn;

struct dnn_config {
  enum plans plans;
  size_t workspace_limit; /* bytes; 0: 1 GiB */
  const char *device;     /* NULL: the calling thread's current device. Else a device's properties as JSON:
                           * plans are made for it without it, and cannot be run */
};

/* Loads the library. Errors: E_DEVICE, E_VERSION, E_MEMORY. */
enum status dnn_open(struct dnn **out, const struct dnn_config *config);
void dnn_close(struct dnn **dnn); /* accepts NULL; nulls */

/* x [N,H,W,C], w [O,k,k,C] -> y [N,P,Q,O] with P = (H+2pad-k)/stride+1, Q likewise from W; row-major and
 * packed, which the graph calls NHWC. Every address is a multiple of 16 bytes. With bf16, C and O should be
 * multiples of 8: the library otherwise repacks in its workspace, or has no plan at all. */
struct dnn_conv_shape {
  int64_t n, c, h, w, o, k, stride, pad;
  enum precision
      precision; /* of all three. f32: products without tensor cores, no transforms (Winograd, FFT) */
};

enum dnn_pass {
  DNN_FORWARD,          /* y from x and w */
  DNN_BACKWARD_DATA,    /* x's gradient from w and y's */
  DNN_BACKWARD_WEIGHTS, /* w's gradient from x and y's */
  DNN_ADD_TO_DATA       /* DNN_BACKWARD_DATA, added to the gradient that is there */
};

struct dnn_conv;

/* Errors: E_SHAPE, E_DEVICE (no plan: how many were refused and why), E_MEMORY. */
enum status dnn_conv_open(struct dnn_conv **out, struct dnn *dnn, const struct dnn_conv_shape *shape,
                          enum dnn_pass pass);
void dnn_conv_close(struct dnn_conv **conv); /* accepts NULL; nulls. Before its dnn */

size_t dnn_conv_workspace(const struct dnn_conv *conv); /* bytes that a run or dnn_conv_measure needs */
const char *dnn_conv_plan(const struct dnn_conv *conv); /* the choice, for people */

/* Overwrites (DNN_ADD_TO_DATA: adds to) what the pass computes: y, x, or w; the two others are only read. Nothing is waited for.
 * stream: a cudaStream_t. Errors: E_DEVICE. */
enum status dnn_conv_run(struct dnn_conv *conv, void *stream, void *x, void *w, void *y, void *workspace);

/* With PLANS_MEASURED, once, before the first run: runs each plan there is on this memory, of whose result nothing is left, and keeps the
 * fastest; a convolution that was measured before gets the same plan. The numbers there are whatever they are, zeros in fresh memory, on which
 * a GPU may clock higher than in training. Waits for the stream. Errors: E_DEVICE. */
enum status dnn_conv_measure(struct dnn_conv *conv, void *stream, void *x, void *w, void *y, void *workspace);

/* P and Q. */
static inline int64_t dnn_conv_out(int64_t size, const struct dnn_conv_shape *s) {
  return (size + 2 * s->pad - s->k) / s->stride + 1;
}

#ifdef __cplusplus
}
#endif

#endif
