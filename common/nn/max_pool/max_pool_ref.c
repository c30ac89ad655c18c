#include <string.h>

#include "nn/engine.h"
#include "nn/max_pool/max_pool.h"

/* The index in x of the first maximum of output i's window. */
static int64_t argmax(const struct node *node, int64_t i) {
  const struct max_pool_attr *a = node->attr;
  const int64_t *in = node->in[0]->shape.dim, *out = node->out->shape.dim;
  const double *x = node->in[0]->data;
  int64_t plane = i / (out[2] * out[3]) * in[2] * in[3], best = -1;
  int64_t h0 = i / out[3] % out[2] * a->stride - a->pad, w0 = i % out[3] * a->stride - a->pad;
  for (int64_t h = h0; h < h0 + a->kernel; h++) {
    for (int64_t w = w0; w < w0 + a->kernel; w++) {
      if (h < 0 || h >= in[2] || w < 0 || w >= in[3]) continue;
      int64_t at = plane + h * in[3] + w;
      if (best < 0 || x[at] > x[best]) best = at;
    }
  }
  return best;
}

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1;
  return OK;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const double *x = node->in[0]->data;
  double *y = node->out->data;
  for (int64_t i = 0, n = shape_count(node->out->shape); i < n; i++) y[i] = x[argmax(node, i)];
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const double *dy = node->out->grad;
  double *dx = node->in_grad[0];
  memset(dx, 0, node->in[0]->bytes);
  for (int64_t i = 0, n = shape_count(node->out->shape); i < n; i++) dx[argmax(node, i)] += dy[i];
  return OK;
}

const struct kernel kernel_max_pool_ref = {
    .op = "max_pool", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
