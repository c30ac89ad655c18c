#include <string.h>

#include "nn/engine.h"

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const int32_t *rows = node->attr;
  const float *x = node->in[0]->data;
  float *y = node->out->data;
  int64_t width = node->out->shape.dim[1];
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++)
    memcpy(y + i * width, x + rows[i] * width, (size_t)width * sizeof *y);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const int32_t *rows = node->attr;
  const float *dy = node->out->grad;
  float *dx = node->in_grad[0];
  int64_t width = node->out->shape.dim[1];
  memset(dx, 0, node->in[0]->bytes);
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++) {
    for (int64_t j = 0; j < width; j++) dx[rows[i] * width + j] += dy[i * width + j];
  }
  return OK;
}

const struct kernel kernel_gather_rows_cpu = {
    .op = "gather_rows", .backend = "cpu", .forward = forward, .backward = backward};
