/* tanh_mse in plain loops over REAL, the backend's number: included by tanh_mse_cpu.c (float) and
 * tanh_mse_ref.c (double). */
#include <math.h>

#include "nn/engine.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1 | 2;
  return OK;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const REAL *x = node->in[0]->data, *t = node->in[1]->data;
  int64_t count = shape_count(node->in[0]->shape);
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    const double off = tanh((double)x[i]) - t[i];
    sum += off * off;
  }
  *(REAL *)node->out->data = (REAL)(sum / (double)count);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const REAL *x = node->in[0]->data, *t = node->in[1]->data;
  REAL *dx = node->in_grad[0];
  int64_t count = shape_count(node->in[0]->shape);
  const double scale = *(const REAL *)node->out->grad / (double)count;
  for (int64_t i = 0; i < count; i++) {
    const double y = tanh((double)x[i]);
    dx[i] = (REAL)(scale * 2 * (y - t[i]) * (1 - y * y));
  }
  return OK;
}
