#include "nn/cpu.h"

static enum status forward(struct node *n, const struct run *run) {
  (void)run;
  const double *weights = n->attr;
  double sum = 0;
  for (int i = 0; i < n->n_in; i++) sum += weights[i] * *(const float *)n->in[i]->data;
  *(float *)n->out->data = (float)sum;
  return OK;
}

static enum status backward(struct node *n, const struct run *run) {
  (void)run;
  const double *weights = n->attr;
  for (int i = 0; i < n->n_in; i++) {
    if (n->in_grad[i]) *(float *)n->in_grad[i] = (float)(weights[i] * *(const float *)n->out->grad);
  }
  return OK;
}

const struct kernel kernel_weighted_sum_cpu = {
    .op = "weighted_sum", .backend = "cpu", .forward = forward, .backward = backward};
