/* The gradient of a row is summed by the row, over its uses in their order: they are listed when the node is bound. */
#include <stdlib.h>

#include "nn/cuda/launch.cuh"

struct gather_state {
  void *rows;  /* device, int32_t[n]: the row that output row j is */
  void *uses;  /* device, int32_t[n]: output rows, ordered by the row they are */
  void *begin; /* device, int32_t[N + 1]: where row i's begin among them */
};

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
  n->state = calloc(1, sizeof(struct gather_state));
  return n->state ? OK : fail(E_MEMORY, "out of memory for an index");
}

/* begin[N + 1], then uses[n]: a counting sort. */
static void list_uses(const int32_t *rows, int64_t n, int32_t *begin, int64_t n_rows, int32_t *uses) {
  for (int64_t j = 0; j < n; j++) begin[rows[j] + 1]++;
  for (int64_t i = 0; i < n_rows; i++) begin[i + 1] += begin[i];
  for (int64_t j = n - 1; j >= 0; j--) uses[--begin[rows[j] + 1]] = static_cast<int32_t>(j);
  /* Every begin[i + 1] now is where row i begins. */
  for (int64_t i = 0; i < n_rows; i++) begin[i] = begin[i + 1];
  begin[n_rows] = static_cast<int32_t>(n);
}

static enum status bind(struct node *n, const struct run *run) {
  struct gather_state *s = static_cast<struct gather_state *>(n->state);
  const int32_t *rows = static_cast<const int32_t *>(n->attr);
  int64_t count = n->out->shape.dim[0], n_rows = n->in[0]->shape.dim[0];
  size_t bytes = static_cast<size_t>(count) * sizeof *rows;
  int32_t *begin = static_cast<int32_t *>(calloc(static_cast<size_t>(n_rows + 1 + count), sizeof *begin));
  if (!begin) return fail(E_MEMORY, "out of memory for an index");
  list_uses(rows, count, begin, n_rows, begin + n_rows + 1);
  enum status st = cuda_constant(cuda_of(run), rows, bytes, &s->rows);
  if (st == OK)
    st = cuda_constant(cuda_of(run), begin, static_cast<size_t>(n_rows + 1) * sizeof *begin, &s->begin);
  if (st == OK) st = cuda_constant(cuda_of(run), begin + n_rows + 1, bytes, &s->uses);
  free(begin);
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  const struct gather_state *s = static_cast<const struct gather_state *>(n->state);
  int64_t items = shape_count(n->out->shape);
  return launch_items(items, gather, cuda_of(run), data_of(n->out), data_of(n->in[0]),
                      static_cast<const int32_t *>(s->rows), n->out->shape.dim[1], items);
}

static enum status backward(struct node *n, const struct run *run) {
  const struct gather_state *s = static_cast<const struct gather_state *>(n->state);
  int64_t items = shape_count(n->in[0]->shape);
  return launch_items(items, scatter, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out),
                      static_cast<const int32_t *>(s->uses), static_cast<const int32_t *>(s->begin),
                      n->out->shape.dim[1], items);
}

static void release(struct node *n) {
  struct gather_state *s = static_cast<struct gather_state *>(n->state);
  if (!s) return;
  void *memory[] = {s->rows, s->uses, s->begin};
  for (void *m : memory) cudaFree(m);
  free(s);
}

CUDA_KERNEL(gather_rows) = {.op = "gather_rows",
                            .backend = "cuda",
                            .prepare = prepare,
                            .bind = bind,
                            .forward = forward,
                            .backward = backward,
                            .release = release};
