/* The gradient of a row is summed by the row, over its uses in their order: they are listed when the node is bound. */
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/launch.cuh"

namespace {

/* The node's constant, one behind the other. */
struct row_index {
  int32_t *rows;  /* [n]: the row that output row j is */
  int32_t *uses;  /* [n]: output rows, ordered by the row they are */
  int32_t *begin; /* [N + 1]: where row i's begin among them */
};

static struct row_index index_at(const struct node *n, void *base) {
  int32_t *rows = static_cast<int32_t *>(base);
  int64_t count = n->out->shape.dim[0];
  return {rows, rows + count, rows + 2 * count};
}

static __global__ void gather(struct span y, struct span x, const int32_t *rows, int64_t width,
                              int64_t items) {
  int64_t i = item();
  if (i < items) store(y, i, load(x, rows[i / width] * width + i % width));
}

static __global__ void scatter(struct span dx, struct span dy, const int32_t *uses, const int32_t *begin,
                               int64_t width, int64_t items) {
  int64_t i = item();
  if (i >= items) return;
  int64_t row = i / width;
  float sum = 0;
  for (int32_t u = begin[row]; u < begin[row + 1]; u++) sum += load(dy, uses[u] * width + i % width);
  store(dx, i, sum);
}

static enum status prepare(struct node *n, const struct run *) {
  n->out->layout.element = n->in[0]->layout.element;
  n->constant_bytes =
      static_cast<size_t>(2 * n->out->shape.dim[0] + n->in[0]->shape.dim[0] + 1) * sizeof(int32_t);
  return OK;
}

/* A counting sort; begin: all 0. */
static void list_uses(const int32_t *rows, int64_t n, int32_t *begin, int64_t n_rows, int32_t *uses) {
  for (int64_t j = 0; j < n; j++) begin[rows[j] + 1]++;
  for (int64_t i = 0; i < n_rows; i++) begin[i + 1] += begin[i];
  for (int64_t j = n - 1; j >= 0; j--) uses[--begin[rows[j] + 1]] = static_cast<int32_t>(j);
  /* Every begin[i + 1] now is where row i begins. */
  for (int64_t i = 0; i < n_rows; i++) begin[i] = begin[i + 1];
  begin[n_rows] = static_cast<int32_t>(n);
}

static enum status bind(struct node *n, const struct run *run) {
  int64_t count = n->out->shape.dim[0];
  void *host = calloc(1, n->constant_bytes);
  if (!host) return fail(E_MEMORY, "out of memory for an index");
  struct row_index x = index_at(n, host);
  memcpy(x.rows, n->attr, static_cast<size_t>(count) * sizeof *x.rows);
  list_uses(x.rows, count, x.begin, n->in[0]->shape.dim[0], x.uses);
  enum status st = cuda_constant(cuda_of(run), n->constant, host, n->constant_bytes);
  free(host);
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t items = shape_count(n->out->shape);
  return launch_items(items, gather, cuda_of(run), data_of(n->out), data_of(n->in[0]),
                      index_at(n, n->constant).rows, n->out->shape.dim[1], items);
}

static enum status backward(struct node *n, const struct run *run) {
  struct row_index x = index_at(n, n->constant);
  int64_t items = shape_count(n->in[0]->shape);
  return launch_items(items, scatter, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out), x.uses,
                      x.begin, n->out->shape.dim[1], items);
}

} // namespace

CUDA_KERNEL(gather_rows) = {.op = "gather_rows",
                            .backend = "cuda",
                            .prepare = prepare,
                            .bind = bind,
                            .forward = forward,
                            .backward = backward};
