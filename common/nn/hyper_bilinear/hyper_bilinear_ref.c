#include <string.h>

#include "nn/engine.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1 << HYPER_W | 1 << HYPER_T | 1 << HYPER_R;
  return OK;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  int64_t batch = node->out->shape.dim[0], d = node->out->shape.dim[1],
          k_size = node->in[HYPER_T]->shape.dim[1];
  const double *w = node->in[HYPER_W]->data, *t = node->in[HYPER_T]->data, *r = node->in[HYPER_R]->data;
  double *out = node->out->data;
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t o = 0; o < d; o++) {
      double sum = 0;
      for (int64_t i = 0; i < d; i++) {
        for (int64_t k = 0; k < k_size; k++)
          sum += t[b * k_size + k] * w[(o * d + i) * k_size + k] * r[b * d + i];
      }
      out[b * d + o] = sum;
    }
  }
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  int64_t batch = node->out->shape.dim[0], d = node->out->shape.dim[1],
          k_size = node->in[HYPER_T]->shape.dim[1];
  const double *w = node->in[HYPER_W]->data, *t = node->in[HYPER_T]->data, *r = node->in[HYPER_R]->data;
  const double *g = node->out->grad;
  double *dw = node->in_grad[HYPER_W], *dt = node->in_grad[HYPER_T], *dr = node->in_grad[HYPER_R];
  for (int i = 0; i < 3; i++) {
    if (node->in_grad[i]) memset(node->in_grad[i], 0, node->in[i]->bytes);
  }
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t oi = 0; oi < d * d; oi++) {
      double out_grad = g[b * d + oi / d], x = r[b * d + oi % d];
      for (int64_t k = 0; k < k_size; k++) {
        if (dr) dr[b * d + oi % d] += t[b * k_size + k] * w[oi * k_size + k] * out_grad;
        if (dt) dt[b * k_size + k] += out_grad * w[oi * k_size + k] * x;
        if (dw) dw[oi * k_size + k] += t[b * k_size + k] * out_grad * x;
      }
    }
  }
  return OK;
}

const struct kernel kernel_hyper_bilinear_ref = {
    .op = "hyper_bilinear", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
