#include "nn/cpu.h"

static enum status prepare(struct node *n, const struct run *run) {
  (void)run;
  n->keep_out = true;
  enum status st = cpu_settle(n->in[0]);
  n->out->layout = n->in[0]->layout;
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  (void)run;
  const float *x = n->in[0]->data;
  float *y = n->out->data;
  int64_t count = (int64_t)(n->out->bytes / sizeof *y);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++) y[i] = x[i] <= 0 ? 0 : x[i];
  return OK;
}

static enum status backward(struct node *n, const struct run *run) {
  (void)run;
  const float *y = n->out->data, *dy = n->out->grad;
  float *dx = n->in_grad[0];
  int64_t count = (int64_t)(n->out->bytes / sizeof *y);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
  return OK;
}

const struct kernel kernel_relu_cpu = {
    .op = "relu", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
