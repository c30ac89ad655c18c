/* columns in plain loops over REAL, the backend's number: included by columns_cpu.c (float) and
 * columns_ref.c (double). */
#include <string.h>

#include "nn/columns/columns.h"
#include "nn/engine.h"

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const struct columns_attr *a = node->attr;
  int64_t width = node->in[0]->shape.dim[1], count = node->out->shape.dim[1];
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++)
    memcpy((REAL *)node->out->data + i * count, (const REAL *)node->in[0]->data + i * width + a->first,
           (size_t)count * sizeof(REAL));
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const struct columns_attr *a = node->attr;
  int64_t width = node->in[0]->shape.dim[1], count = node->out->shape.dim[1];
  memset(node->in_grad[0], 0, node->in[0]->bytes);
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++)
    memcpy((REAL *)node->in_grad[0] + i * width + a->first, (const REAL *)node->out->grad + i * count,
           (size_t)count * sizeof(REAL));
  return OK;
}
