#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/columns/columns.h"
}

static __global__ void take(struct span y, struct span x, int64_t count, int64_t width, int64_t first,
                            int64_t items) {
  int64_t i = item();
  if (i < items) store(y, i, load(x, i / count * width + first + i % count));
}

static __global__ void put_back(struct span dx, struct span dy, int64_t count, int64_t width, int64_t first,
                                int64_t items) {
  int64_t i = item();
  if (i >= items) return;
  int64_t column = i % width - first;
  store(dx, i, column >= 0 && column < count ? load(dy, i / width * count + column) : 0);
}

static enum status prepare(struct node *n, const struct run *) {
  n->out->layout.element = n->in[0]->layout.element;
  return OK;
}

static int64_t first_of(const struct node *n) {
  return static_cast<const struct columns_attr *>(n->attr)->first;
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t items = shape_count(n->out->shape);
  return launch_items(items, take, cuda_of(run), data_of(n->out), data_of(n->in[0]), n->out->shape.dim[1],
                      n->in[0]->shape.dim[1], first_of(n), items);
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t items = shape_count(n->in[0]->shape);
  return launch_items(items, put_back, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out),
                      n->out->shape.dim[1], n->in[0]->shape.dim[1], first_of(n), items);
}

CUDA_KERNEL(columns) = {
    .op = "columns", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
