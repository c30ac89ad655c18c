/* gather_rows in plain loops over REAL, the backend's number: included by gather_rows_cpu.c (float) and gather_rows_ref.c (double). */
#include <string.h>

#include "nn/engine.h"

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const int32_t *rows = node->attr;
  const REAL *x = node->in[0]->data;
  REAL *y = node->out->data;
  int64_t width = node->out->shape.dim[1];
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++)
    memcpy(y + i * width, x + rows[i] * width, (size_t)width * sizeof *y);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const int32_t *rows = node->attr;
  const REAL *dy = node->out->grad;
  REAL *dx = node->in_grad[0];
  int64_t width = node->out->shape.dim[1];
  memset(dx, 0, node->in[0]->bytes);
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++) {
    for (int64_t j = 0; j < width; j++) dx[rows[i] * width + j] += dy[i * width + j];
  }
  return OK;
}
