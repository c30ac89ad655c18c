/* A warp per row, both ways. The classes are the op's attribute: a copy of them lives on the device. */
#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/cross_entropy/cross_entropy.h"
}

namespace {

struct rows {
  struct span x;
  const int32_t *classes;
  int64_t n, d;
};

static struct rows rows_of(const struct node *n) {
  return {data_of(n->in[0]), static_cast<const int32_t *>(n->constant), n->in[0]->shape.dim[0],
          n->in[0]->shape.dim[1]};
}

static size_t classes_bytes(const struct node *n) {
  return static_cast<size_t>(n->in[0]->shape.dim[0]) * sizeof(int32_t);
}

static enum status prepare(struct node *n, const struct run *) {
  n->keep_in = 1;
  n->constant_bytes = classes_bytes(n);
  n->forward_scratch = static_cast<size_t>(n->in[0]->shape.dim[0]) * sizeof(float);
  return OK;
}

static enum status bind(struct node *n, const struct run *run) {
  return cuda_constant(cuda_of(run), n->constant, n->attr, classes_bytes(n));
}

struct exponentials {
  float top, sum;
};

static __device__ __forceinline__ struct exponentials exponentials_of(const struct rows &r, int64_t row) {
  float top = load(r.x, row * r.d), sum = 0;
  for (int64_t k = row * r.d + lane(); k < (row + 1) * r.d; k += CUDA_WARP) top = fmaxf(top, load(r.x, k));
  for (int bits = CUDA_WARP / 2; bits > 0; bits /= 2)
    top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, bits));
  for (int64_t k = row * r.d + lane(); k < (row + 1) * r.d; k += CUDA_WARP) sum += expf(load(r.x, k) - top);
  return {top, warp_sum(sum)};
}

static __global__ void losses(float *loss, struct rows r) {
  int64_t row = warp_row();
  if (row >= r.n) return;
  struct exponentials e = exponentials_of(r, row);
  if (lane() == 0) loss[row] = logf(e.sum) + e.top - load(r.x, row * r.d + r.classes[row]);
}

static __global__ void gradient(struct span dx, struct span loss_grad, struct rows r) {
  int64_t row = warp_row();
  if (row >= r.n) return;
  struct exponentials e = exponentials_of(r, row);
  float scale = load(loss_grad, 0) / static_cast<float>(r.n);
  for (int64_t k = lane(); k < r.d; k += CUDA_WARP)
    store(dx, row * r.d + k,
          scale * (expf(load(r.x, row * r.d + k) - e.top) / e.sum - (k == r.classes[row] ? 1.0f : 0.0f)));
}

static enum status forward(struct node *n, const struct run *run) {
  struct rows r = rows_of(n);
  float *loss = static_cast<float *>(n->scratch_f);
  enum status st = launch(losses, cuda_row_grid(r.n), CUDA_THREADS, 0, cuda_of(run), loss, r);
  if (st != OK) return st;
  return cuda_total(cuda_of(run), data_of(n->out), loss, r.n, 0, 1 / static_cast<double>(r.n));
}

static enum status backward(struct node *n, const struct run *run) {
  struct rows r = rows_of(n);
  return launch(gradient, cuda_row_grid(r.n), CUDA_THREADS, 0, cuda_of(run), span_of(n->in[0], n->in_grad[0]),
                grad_of(n->out), r);
}

} // namespace

CUDA_KERNEL(cross_entropy) = {.op = "cross_entropy",
                              .backend = "cuda",
                              .prepare = prepare,
                              .bind = bind,
                              .forward = forward,
                              .backward = backward};
