/* Losses that are the mean of a term over pairs of elements, y = mean term(x, t), over REAL, the backend's number:
 * included by OP_cpu.c (float) and OP_ref.c (double), which include OP_term.h before. */
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
  for (int64_t i = 0; i < count; i++) sum += term((double)x[i], (double)t[i]);
  *(REAL *)node->out->data = (REAL)(sum / (double)count);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const REAL *x = node->in[0]->data, *t = node->in[1]->data;
  REAL *dx = node->in_grad[0];
  int64_t count = shape_count(node->in[0]->shape);
  const double scale = *(const REAL *)node->out->grad / (double)count;
  for (int64_t i = 0; i < count; i++) dx[i] = (REAL)(scale * slope((double)x[i], (double)t[i]));
  return OK;
}
