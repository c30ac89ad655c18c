/* bce_with_logits in plain loops over REAL, the backend's number: included by bce_with_logits_cpu.c (float) and
 * bce_with_logits_ref.c (double). */
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
  for (int64_t i = 0; i < count; i++)
    sum += fmax(x[i], 0) + log1p(exp(-fabs((double)x[i]))) - (double)t[i] * x[i];
  *(REAL *)node->out->data = (REAL)(sum / (double)count);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const REAL *x = node->in[0]->data, *t = node->in[1]->data;
  REAL *dx = node->in_grad[0];
  int64_t count = shape_count(node->in[0]->shape);
  const double scale = *(const REAL *)node->out->grad / (double)count;
  for (int64_t i = 0; i < count; i++) dx[i] = (REAL)(scale * (1 / (1 + exp(-(double)x[i])) - t[i]));
  return OK;
}
