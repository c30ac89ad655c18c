/* What common/nn/cuda/dnn.c has cuDNN do, in plain loops with float64 sums. There are no plans to choose, but there is a
 * workspace, which a run spoils: who gives it too little or keeps something in it is found out. */
#include "nn/cuda/dnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulation.h"
#include "numbers.h"

enum { WORKSPACE = 512 };

struct dnn {
  struct dnn_conv *first; /* of all that were opened: a closed one is kept, to find out who still runs it */
};

struct dnn_conv {
  struct dnn_conv_shape shape;
  enum dnn_pass pass;
  bool closed;
  struct dnn_conv *next;
};

struct run {
  const struct dnn_conv *conv;
  void *x, *w, *y, *workspace;
};

enum status dnn_open(struct dnn **out, const struct dnn_config *config) {
  (void)config;
  *out = calloc(1, sizeof **out);
  return *out ? OK : fail(E_MEMORY, "out of memory for cuDNN");
}

void dnn_close(struct dnn **dnn) {
  while (*dnn && (*dnn)->first) {
    struct dnn_conv *conv = (*dnn)->first;
    (*dnn)->first = conv->next;
    free(conv);
  }
  free(*dnn);
  *dnn = NULL;
}

enum status dnn_conv_open(struct dnn_conv **out, struct dnn *dnn, const struct dnn_conv_shape *shape,
                          enum dnn_pass pass) {
  *out = calloc(1, sizeof **out);
  if (!*out) return fail(E_MEMORY, "out of memory for a convolution");
  **out = (struct dnn_conv){*shape, pass, false, dnn->first};
  dnn->first = *out;
  return OK;
}

void dnn_conv_close(struct dnn_conv **conv) {
  if (*conv) (*conv)->closed = true;
  *conv = NULL;
}

size_t dnn_conv_workspace(const struct dnn_conv *conv) {
  (void)conv;
  return WORKSPACE;
}

const char *dnn_conv_plan(const struct dnn_conv *conv) {
  (void)conv;
  return "loops";
}

/* Every product of the convolution, added to whichever of the three sums it goes into. */
static void convolve(const struct dnn_conv_shape *s, enum dnn_pass pass, const double *x, const double *w,
                     const double *y, double *sum) {
  const int64_t p_size = dnn_conv_out(s->h, s), q_size = dnn_conv_out(s->w, s);
  for (int64_t pixel = 0; pixel < s->n * p_size * q_size; pixel++) {
    const int64_t q = pixel % q_size, p = pixel / q_size % p_size, n = pixel / q_size / p_size;
    for (int64_t tap = 0; tap < s->k * s->k; tap++) {
      const int64_t row = p * s->stride - s->pad + tap / s->k, column = q * s->stride - s->pad + tap % s->k;
      if (row < 0 || row >= s->h || column < 0 || column >= s->w) continue;
      const int64_t at_x = ((n * s->h + row) * s->w + column) * s->c;
      for (int64_t o = 0; o < s->o; o++) {
        const int64_t at_w = (o * s->k * s->k + tap) * s->c, at_y = pixel * s->o + o;
        for (int64_t c = 0; c < s->c; c++) {
          if (pass == DNN_FORWARD) sum[at_y] += x[at_x + c] * w[at_w + c];
          if (pass == DNN_BACKWARD_DATA || pass == DNN_ADD_TO_DATA) sum[at_x + c] += y[at_y] * w[at_w + c];
          if (pass == DNN_BACKWARD_WEIGHTS) sum[at_w + c] += y[at_y] * x[at_x + c];
        }
      }
    }
  }
}

static void work(void *arguments) {
  const struct run *r = arguments;
  const struct dnn_conv_shape *s = &r->conv->shape;
  if (r->conv->closed) {
    fprintf(stderr, "CUDA emulation: a convolution was closed before it ran\n");
    abort();
  }
  const int64_t counts[] = {s->n * s->h * s->w * s->c, s->o * s->k * s->k * s->c,
                            s->n * dnn_conv_out(s->h, s) * dnn_conv_out(s->w, s) * s->o};
  static const int results[] = {
      [DNN_FORWARD] = 2, [DNN_BACKWARD_DATA] = 0, [DNN_BACKWARD_WEIGHTS] = 1, [DNN_ADD_TO_DATA] = 0};
  const int result = results[r->conv->pass];
  void *const at[] = {r->x, r->w, r->y};
  double *in[3];
  for (int i = 0; i < 3; i++)
    in[i] = i == result && r->conv->pass != DNN_ADD_TO_DATA
                ? numbers_zero(counts[i])
                : numbers_read(at[i], counts[i], number_of(s->precision));
  convolve(s, r->conv->pass, in[0], in[1], in[2], in[result]);
  memset(r->workspace, 0xff, WORKSPACE);
  numbers_write(at[result], in[result], counts[result], number_of(s->precision));
  for (int i = 0; i < 3; i++) free(in[i]);
}

enum status dnn_conv_run(struct dnn_conv *conv, void *stream, void *x, void *w, void *y, void *workspace) {
  struct run run = {conv, x, w, y, workspace};
  cudaError_t error = emulation_enqueue(stream, work, &run, sizeof run);
  return error == cudaSuccess ? OK : fail(E_DEVICE, "convolution: %s", cudaGetErrorString(error));
}

/* Once on that memory: whatever else it is needed for shows. */
enum status dnn_conv_measure(struct dnn_conv *conv, void *stream, void *x, void *w, void *y,
                             void *workspace) {
  return dnn_conv_run(conv, stream, x, w, y, workspace);
}
