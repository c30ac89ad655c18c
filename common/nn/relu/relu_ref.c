#include "nn/engine.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_out = true;
  return OK;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const double *x = node->in[0]->data;
  double *y = node->out->data;
  for (int64_t i = 0, n = shape_count(node->out->shape); i < n; i++) y[i] = x[i] <= 0 ? 0 : x[i];
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const double *y = node->out->data, *dy = node->out->grad;
  double *dx = node->in_grad[0];
  for (int64_t i = 0, n = shape_count(node->out->shape); i < n; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
  return OK;
}

const struct kernel kernel_relu_ref = {
    .op = "relu", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
