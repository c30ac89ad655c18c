/* A warp per row. Backward goes over the rows for dx and over the columns for dgamma and dbeta. */
#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/layer_norm/layer_norm.h"
}

namespace {

struct row_moments {
  float mean, scale;
};

struct matrix {
  int64_t rows, columns;
};

static struct matrix matrix_of(const struct node *n) { return {n->out->shape.dim[0], n->out->shape.dim[1]}; }

static enum status prepare(struct node *n, const struct run *) {
  n->keep_in = 1 | 2;
  if (n->out->wants_grad)
    n->saved_bytes = static_cast<size_t>(n->out->shape.dim[0]) * sizeof(struct row_moments);
  return OK;
}

static __global__ void normalise(struct span y, struct row_moments *saved, struct span x, const float *gamma,
                                 const float *beta, struct matrix m, float eps) {
  int64_t row = warp_row(), d = m.columns;
  if (row >= m.rows) return;
  float sum = 0, squares = 0;
  for (int64_t k = lane(); k < d; k += CUDA_WARP) sum += load(x, row * d + k);
  float mean = warp_sum(sum) / static_cast<float>(d);
  for (int64_t k = lane(); k < d; k += CUDA_WARP) {
    float off = load(x, row * d + k) - mean;
    squares += off * off;
  }
  float scale = 1 / sqrtf(warp_sum(squares) / static_cast<float>(d) + eps);
  for (int64_t k = lane(); k < d; k += CUDA_WARP)
    store(y, row * d + k, gamma[k] * ((load(x, row * d + k) - mean) * scale) + beta[k]);
  if (saved && lane() == 0) saved[row] = {mean, scale};
}

/* dx = scale (g - mean(g) - x^ mean(g x^)), g = gamma dy */
static __global__ void gradient(struct span dx, struct span dy, struct span x, const float *gamma,
                                const struct row_moments *saved, struct matrix m) {
  int64_t row = warp_row(), d = m.columns;
  if (row >= m.rows) return;
  float mean = saved[row].mean, scale = saved[row].scale, sum = 0, dot = 0;
  for (int64_t k = lane(); k < d; k += CUDA_WARP) {
    float g = gamma[k] * load(dy, row * d + k);
    sum += g;
    dot += g * ((load(x, row * d + k) - mean) * scale);
  }
  sum = warp_sum(sum) / static_cast<float>(d);
  dot = warp_sum(dot) / static_cast<float>(d);
  for (int64_t k = lane(); k < d; k += CUDA_WARP) {
    float xhat = (load(x, row * d + k) - mean) * scale;
    store(dx, row * d + k, scale * (gamma[k] * load(dy, row * d + k) - sum - xhat * dot));
  }
}

static __global__ void scale_gradient(float *dgamma, float *dbeta, struct span dy, struct span x,
                                      const struct row_moments *saved, struct matrix m) {
  int64_t k = block_column();
  float dot = 0, sum = 0;
  for (int64_t row = threadIdx.x / CUDA_WARP; row < m.rows && k < m.columns; row += CUDA_WARPS) {
    float g = load(dy, row * m.columns + k);
    sum += g;
    dot += g * ((load(x, row * m.columns + k) - saved[row].mean) * saved[row].scale);
  }
  dot = column_sum(dot);
  sum = column_sum(sum);
  if (threadIdx.x >= CUDA_WARP || k >= m.columns) return;
  if (dgamma) dgamma[k] = dot;
  if (dbeta) dbeta[k] = sum;
}

static enum status forward(struct node *n, const struct run *run) {
  const struct layer_norm_attr *a = static_cast<const struct layer_norm_attr *>(n->attr);
  struct matrix m = matrix_of(n);
  return launch(normalise, cuda_row_grid(m.rows), CUDA_THREADS, 0, cuda_of(run), data_of(n->out),
                static_cast<struct row_moments *>(n->saved), data_of(n->in[0]),
                static_cast<const float *>(n->in[1]->data), static_cast<const float *>(n->in[2]->data), m,
                static_cast<float>(a->eps));
}

static enum status backward(struct node *n, const struct run *run) {
  struct matrix m = matrix_of(n);
  const struct row_moments *saved = static_cast<const struct row_moments *>(n->saved);
  enum status st = OK;
  if (n->in_grad[0])
    TRY(launch(gradient, cuda_row_grid(m.rows), CUDA_THREADS, 0, cuda_of(run),
               span_of(n->in[0], n->in_grad[0]), grad_of(n->out), data_of(n->in[0]),
               static_cast<const float *>(n->in[1]->data), saved, m));
  if (n->in_grad[1] || n->in_grad[2])
    TRY(launch(scale_gradient, cuda_column_grid(m.columns), CUDA_THREADS, 0, cuda_of(run),
               static_cast<float *>(n->in_grad[1]), static_cast<float *>(n->in_grad[2]), grad_of(n->out),
               data_of(n->in[0]), saved, m));
out:
  return st;
}

} // namespace

CUDA_KERNEL(layer_norm) = {
    .op = "layer_norm", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
