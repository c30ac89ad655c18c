#include "nn/engine.h"

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const double *x = node->in[0]->data;
  double *y = node->out->data;
  int64_t area = node->in[0]->shape.dim[2] * node->in[0]->shape.dim[3];
  for (int64_t i = 0, n = shape_count(node->out->shape); i < n; i++) {
    double sum = 0;
    for (int64_t j = 0; j < area; j++) sum += x[i * area + j];
    y[i] = sum / (double)area;
  }
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const double *dy = node->out->grad;
  double *dx = node->in_grad[0];
  int64_t area = node->in[0]->shape.dim[2] * node->in[0]->shape.dim[3];
  for (int64_t i = 0, n = shape_count(node->in[0]->shape); i < n; i++) dx[i] = dy[i / area] / (double)area;
  return OK;
}

const struct kernel kernel_avg_pool_global_ref = {
    .op = "avg_pool_global", .backend = "ref", .forward = forward, .backward = backward};
