/* A computation graph: built once, planned once, executed every step on one backend.
 *
 * Builders (one header per op folder: nn/conv2d/conv2d.h, ...) append a node and return its output. Logical
 * shapes are the graph's and follow PyTorch's order ([N, C, H, W]; [N, D]); the memory layout is the
 * backend's. After the loss is built, graph_plan derives the backward pass, plans memory from liveness and
 * prepares every kernel; after that nothing is allocated. Builders do not return a status: the first error
 * sticks to the graph and graph_plan returns it, so model code reads like its equations. One thread drives a
 * graph; kernels use the backend's threads. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { NN_MAX_DIMS = 4 };

struct shape {
  int n_dims;
  int64_t dim[NN_MAX_DIMS];
};

int64_t shape_count(struct shape shape);

struct graph;

/* A value in a graph; a handle, freely copied. id 0 is no value. */
struct value {
  int32_t id;
};

enum graph_mode {
  GRAPH_TRAIN,    /* forward, backward; BatchNorm uses batch statistics and updates running ones */
  GRAPH_FORWARD,  /* forward only, BatchNorm as in training (to calibrate its statistics) */
  GRAPH_INFERENCE /* forward only, BatchNorm uses running statistics */
};

/* Of a backend that has the choice. */
enum precision {
  PRECISION_F32,
  PRECISION_TF32, /* products of convolutions and matrices from numbers rounded to 10 bits of mantissa */
  PRECISION_BF16 /* activations and their gradients in 16 bits; parameters, statistics and losses in float32 */
};

/* How "cuda" chooses between algorithms of NVIDIA's libraries; "ref" and "cpu" have no choice. */
enum plans {
  PLANS_SUGGESTED,
  PLANS_DETERMINISTIC, /* suggested, of those that give the same bytes in every run on the same GPU */
  PLANS_MEASURED /* the fastest when graph_plan tries them: other ones, and other bytes, from run to run */
};

struct graph_config {
  const char *device; /* "ref" (float64), "cpu", "cuda[:N]" */
  enum graph_mode mode;
  int threads; /* 0: all cores */
  bool
      plan_only; /* graph_plan takes no memory for tensors; the graph can be looked at but neither filled nor run.
                    "cuda" then plans for an H200 where there is no GPU, "cuda:h200" and "cuda:a100" wherever it is */
  enum precision precision;
  enum plans plans;
};

/* Errors: E_ARG (unknown device; lists them), E_DEVICE (what is missing), E_MEMORY. */
enum status graph_open(struct graph **out, const struct graph_config *config);
void graph_close(struct graph **graph);

/* --- Building ------------------------------------------------------------------------------------------- */

/* A value that graph_write fills before each step. */
struct value graph_input(struct graph *g, const char *name, struct shape shape);

enum init_kind { INIT_ZERO, INIT_ONE, INIT_NORMAL /* sd */, INIT_UNIFORM /* U(-bound, bound) */ };

struct init {
  enum init_kind kind;
  double scale;
};

/* A trained parameter, or the one already made under that name (weights shared between calls). Its starting
 * value is drawn from (seed, name) alone when graph_init runs. `name` as in the checkpoint; copied. */
struct value graph_param(struct graph *g, const char *name, struct shape shape, struct init init);

/* State that is saved but not trained: BatchNorm's running statistics. */
struct value graph_buffer(struct graph *g, const char *name, struct shape shape, struct init init);

/* A buffer that stands for the parameter or buffer `of` in a copy of a network: of its shape, its starting
 * value, its memory layout. nn/ema moves it. E_ARG: `of` is neither a parameter nor a buffer. */
struct value graph_shadow(struct graph *g, const char *name, struct value of);

/* Names the value for graph_find and keeps its memory readable after a step. */
void graph_output(struct graph *g, const char *name, struct value v);

struct shape graph_shape(const struct graph *g, struct value v);

/* A shape or argument error found while building; the first one wins. */
void graph_fail(struct graph *g, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Ends building. `loss` (one element) is differentiated with respect to every parameter it reaches; no value
 * in the forward-only modes. Errors: the first building error, E_DEVICE (no kernel for an op on this
 * backend), E_MEMORY. */
enum status graph_plan(struct graph *g, struct value loss);

/* --- Running -------------------------------------------------------------------------------------------- */

/* Sets every parameter and buffer to its starting value. */
enum status graph_init(struct graph *g, uint64_t seed);

/* Copy a value to or from the device in its logical order, row-major. count must be the shape's. E_SHAPE. */
enum status graph_write_f32(struct graph *g, struct value v, const float *data, int64_t count);
enum status graph_read_f32(struct graph *g, struct value v, float *data, int64_t count);
enum status graph_write_f64(struct graph *g, struct value v, const double *data, int64_t count);
enum status graph_read_f64(struct graph *g, struct value v, double *data, int64_t count);

/* Fills an image input [N, 3, H, W] from pixels [N, H, W, 3]: (x / 255 - mean) / std. */
enum status graph_write_pixels(struct graph *g, struct value v, const uint8_t *pixels, const double mean[3],
                               const double std[3]);

enum status graph_forward(struct graph *g);
/* After graph_forward; gradients are overwritten (=), not accumulated over calls. */
enum status graph_backward(struct graph *g);

/* One training step: what `body` calls of this graph, its updater and its averages; their order and number are the
 * same in every step. A backend may record the device's work and repeat it: the calls then only hand over what
 * changes (rates, momenta). Transfers belong before or behind. Returns body's status, or E_DEVICE. */
enum status graph_step(struct graph *g, enum status (*body)(void *context), void *context);

/* Single numbers, losses, that are read after every graph_step without holding up the device. Once, after
 * graph_plan. E_ARG: more than 16, or not single numbers. */
enum status graph_watch(struct graph *g, const struct value *values, int n);
/* Those of the oldest step that were not taken yet; waits for that step. E_ARG: all were taken. */
enum status graph_watched(struct graph *g, double *values);
/* How many steps may be under way when the next begins: their watched values can wait as long. 0: none. */
int graph_lag(const struct graph *g);

/* The gradient of a parameter or output after graph_backward; id 0 if the loss does not reach it. */
struct value graph_gradient(const struct graph *g, struct value v);

/* Parameters, then buffers, each in order of creation. */
struct graph_tensor {
  const char *name;
  struct value value;
  struct shape shape;
  bool trained; /* false: a buffer */
};
size_t graph_tensors(const struct graph *g, const struct graph_tensor **tensors);
struct value graph_find(const struct graph *g,
                        const char *name); /* parameter, buffer, input or output; id 0: none */

/* The factor with which BatchNorm mixes in batch statistics from now on (default 0.1). */
void graph_set_bn_momentum(struct graph *g, double momentum);

/* The name of the GPU that the graph is for; NULL: it is for the host. *described: the GPU is not there
 * (plan_only). */
const char *graph_hardware(const struct graph *g, bool *described);

/* Bytes of the planned arena, and of parameters with their gradients. */
size_t graph_arena_bytes(const struct graph *g);
size_t graph_param_bytes(const struct graph *g);

#endif
