/* A launch for each part. */
#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/concat/concat.h"
}

/* Part [rows, columns] begins at number `at` of the joined matrix, whose rows are `width` long. */
static __global__ void copy(struct span joined, struct span part, int64_t at, int64_t width, int64_t columns,
                            int64_t items, bool to_part) {
  int64_t i = item();
  if (i >= items) return;
  int64_t j = at + i / columns * width + i % columns;
  if (to_part) {
    store(part, i, load(joined, j));
  } else {
    store(joined, j, load(part, i));
  }
}

static enum status copy_parts(const struct node *n, const struct run *run, struct span joined,
                              bool to_parts) {
  const bool side_by_side = static_cast<const struct concat_attr *>(n->attr)->axis == 1;
  int64_t at = 0;
  enum status st = OK;
  for (int k = 0; k < n->n_in && st == OK; k++) {
    const struct tensor *part = n->in[k];
    void *memory = to_parts ? n->in_grad[k] : part->data;
    int64_t columns = part->shape.dim[1], items = shape_count(part->shape);
    if (memory)
      st = launch_items(items, copy, cuda_of(run), joined, span_of(part, memory), at, n->out->shape.dim[1],
                        columns, items, to_parts);
    at += side_by_side ? columns : items;
  }
  return st;
}

static enum status prepare(struct node *n, const struct run *) {
  n->out->layout.element = n->in[0]->layout.element;
  for (int k = 1; k < n->n_in; k++) /* float32 if one of them is */
    if (n->in[k]->layout.element == ELEMENT_OWN) n->out->layout.element = ELEMENT_OWN;
  return OK;
}

static enum status forward(struct node *n, const struct run *run) {
  return copy_parts(n, run, data_of(n->out), false);
}

static enum status backward(struct node *n, const struct run *run) {
  return copy_parts(n, run, grad_of(n->out), true);
}

CUDA_KERNEL(concat) = {
    .op = "concat", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
