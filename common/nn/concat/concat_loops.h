/* concat in plain loops over REAL, the backend's number: included by concat_cpu.c (float) and concat_ref.c (double). */
#include <string.h>

#include "nn/concat/concat.h"
#include "nn/engine.h"

/* Copies between the joined matrix and part i: `parts` from it, otherwise into it. */
static void copy_part(const struct node *node, int i, REAL *joined, REAL *part, bool to_part) {
  const struct concat_attr *a = node->attr;
  int64_t at = 0, width = node->out->shape.dim[1];
  for (int k = 0; k < i; k++) at += a->axis ? node->in[k]->shape.dim[1] : shape_count(node->in[k]->shape);
  int64_t rows = node->in[i]->shape.dim[0], columns = node->in[i]->shape.dim[1];
  for (int64_t r = 0; r < rows; r++) {
    REAL *x = joined + at + r * width, *y = part + r * columns;
    memcpy(to_part ? y : x, to_part ? x : y, (size_t)columns * sizeof *x);
  }
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  for (int i = 0; i < node->n_in; i++) copy_part(node, i, node->out->data, node->in[i]->data, false);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  for (int i = 0; i < node->n_in; i++) {
    if (node->in_grad[i]) copy_part(node, i, node->out->grad, node->in_grad[i], true);
  }
  return OK;
}
