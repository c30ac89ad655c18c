/* weighted_sum in plain loops over REAL, the backend's number: included by weighted_sum_cpu.c (float) and
 * weighted_sum_ref.c (double). */
#include "nn/engine.h"

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const double *weights = node->attr;
  REAL *y = node->out->data;
  for (int64_t k = 0, count = shape_count(node->out->shape); k < count; k++) {
    double sum = 0;
    for (int i = 0; i < node->n_in; i++) sum += weights[i] * ((const REAL *)node->in[i]->data)[k];
    y[k] = (REAL)sum;
  }
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const double *weights = node->attr;
  const REAL *dy = node->out->grad;
  for (int i = 0; i < node->n_in; i++) {
    REAL *dx = node->in_grad[i];
    for (int64_t k = 0, count = shape_count(node->out->shape); dx && k < count; k++)
      dx[k] = (REAL)(weights[i] * dy[k]);
  }
  return OK;
}
