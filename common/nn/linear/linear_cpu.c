#include <cblas.h>
#include <string.h>

#include "nn/cpu.h"

static enum status prepare(struct node *n, const struct run *run) {
  (void)run;
  n->keep_in = 1 | 2;
  return OK;
}

static enum status forward(struct node *n, const struct run *run) {
  (void)run;
  const int rows = (int)n->out->shape.dim[0], out = (int)n->out->shape.dim[1],
            in = (int)n->in[0]->shape.dim[1];
  const float *bias = n->n_in > 2 ? n->in[2]->data : NULL;
  float *y = n->out->data;
  for (int64_t r = 0; bias && r < rows; r++) memcpy(y + r * out, bias, (size_t)out * sizeof *y);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, out, in, 1, n->in[0]->data, in, n->in[1]->data,
              in, bias ? 1 : 0, y, out);
  return OK;
}

static enum status backward(struct node *n, const struct run *run) {
  (void)run;
  const int rows = (int)n->out->shape.dim[0], out = (int)n->out->shape.dim[1],
            in = (int)n->in[0]->shape.dim[1];
  const float *dy = n->out->grad;
  if (n->in_grad[0]) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, in, out, 1, dy, out, n->in[1]->data, in,
                n->accumulate[0], n->in_grad[0], in);
  }
  if (n->in_grad[1]) {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, rows, 1, dy, out, n->in[0]->data, in,
                n->accumulate[1], n->in_grad[1], in);
  }
  float *dbias = n->n_in > 2 ? n->in_grad[2] : NULL;
  for (int64_t o = 0; dbias && o < out; o++) {
    double sum = n->accumulate[2] ? dbias[o] : 0;
    for (int64_t r = 0; r < rows; r++) sum += dy[r * out + o];
    dbias[o] = (float)sum;
  }
  return OK;
}

const struct kernel kernel_linear_cpu = {.op = "linear",
                                         .backend = "cpu",
                                         .accumulates = true,
                                         .prepare = prepare,
                                         .forward = forward,
                                         .backward = backward};
