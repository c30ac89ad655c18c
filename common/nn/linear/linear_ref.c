#include <string.h>

#include "nn/engine.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1 | 2;
  return OK;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  int64_t n_rows = node->out->shape.dim[0], n_out = node->out->shape.dim[1], n_in = node->in[0]->shape.dim[1];
  const double *x = node->in[0]->data, *w = node->in[1]->data,
               *bias = node->n_in > 2 ? node->in[2]->data : NULL;
  double *y = node->out->data;
  for (int64_t n = 0; n < n_rows; n++) {
    for (int64_t o = 0; o < n_out; o++) {
      double sum = bias ? bias[o] : 0;
      for (int64_t i = 0; i < n_in; i++) sum += x[n * n_in + i] * w[o * n_in + i];
      y[n * n_out + o] = sum;
    }
  }
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  int64_t n_rows = node->out->shape.dim[0], n_out = node->out->shape.dim[1], n_in = node->in[0]->shape.dim[1];
  const double *x = node->in[0]->data, *w = node->in[1]->data, *dy = node->out->grad;
  double *dx = node->in_grad[0], *dw = node->in_grad[1], *dbias = node->n_in > 2 ? node->in_grad[2] : NULL;
  for (int k = 0; k < node->n_in; k++) {
    if (node->in_grad[k]) memset(node->in_grad[k], 0, node->in[k]->bytes);
  }
  for (int64_t n = 0; n < n_rows; n++) {
    for (int64_t o = 0; o < n_out; o++) {
      double g = dy[n * n_out + o];
      if (dbias) dbias[o] += g;
      for (int64_t i = 0; i < n_in; i++) {
        if (dx) dx[n * n_in + i] += g * w[o * n_in + i];
        if (dw) dw[o * n_in + i] += g * x[n * n_in + i];
      }
    }
  }
  return OK;
}

const struct kernel kernel_linear_ref = {
    .op = "linear", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
