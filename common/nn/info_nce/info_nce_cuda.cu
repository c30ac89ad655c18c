/* Never more than a tile of S: forward keeps U, its norms and the logarithm of each row's sum of exponentials;
 * backward computes S again, of which p_ij = exp(S_ij - l_i) and p_ji = exp(S_ij - l_j) both follow.
 *
 * A block takes ROWS rows, one per warp, and goes over all rows in tiles of COLUMNS, of which a lane has
 * PER_LANE. All in float32: the embeddings are few. */
#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/info_nce/info_nce.h"
}

namespace {

enum { ROWS = CUDA_WARPS, PER_LANE = 4, COLUMNS = PER_LANE * CUDA_WARP, DEPTH = 32 };

/* saved: U [2N,D], norms [2N], logarithms [2N]; forward scratch: rows' losses [2N]; backward scratch: dU [2N,D]. */
struct parts {
  float *u, *norm, *log_sum;
  int64_t half, n, d; /* N, 2N, D */
  float inverse_temperature;
};

static struct parts parts_of(const struct node *n, void *saved) {
  const struct info_nce_attr *a = static_cast<const struct info_nce_attr *>(n->attr);
  int64_t rows = 2 * n->in[0]->shape.dim[0], d = n->in[0]->shape.dim[1];
  float *u = static_cast<float *>(saved);
  return {u, u + rows * d, u + rows * d + rows, rows / 2, rows, d, static_cast<float>(1 / a->temperature)};
}

static enum status prepare(struct node *n, const struct run *) {
  size_t rows = 2 * static_cast<size_t>(n->in[0]->shape.dim[0]),
         d = static_cast<size_t>(n->in[0]->shape.dim[1]);
  size_t saved = (rows * d + 2 * rows) * sizeof(float);
  n->saved_bytes = n->out->wants_grad ? saved : 0;
  n->forward_scratch = rows * sizeof(float) + (n->out->wants_grad ? 0 : saved);
  n->backward_scratch = rows * d * sizeof(float);
  return OK;
}

/* --- Rows of U ------------------------------------------------------------------------------------------- */

static __global__ void normalise(struct span z1, struct span z2, struct parts a, float min_norm) {
  int64_t i = warp_row();
  if (i >= a.n) return;
  struct span z = i < a.half ? z1 : z2;
  int64_t from = (i < a.half ? i : i - a.half) * a.d;
  float square = 0;
  for (int64_t k = lane(); k < a.d; k += CUDA_WARP) square += load(z, from + k) * load(z, from + k);
  float norm = fmaxf(sqrtf(warp_sum(square)), min_norm);
  for (int64_t k = lane(); k < a.d; k += CUDA_WARP) a.u[i * a.d + k] = load(z, from + k) / norm;
  if (lane() == 0) a.norm[i] = norm;
}

/* dz = (dU - u <u, dU>) / norm */
static __global__ void through_normalisation(struct span dz1, struct span dz2, const float *du,
                                             struct parts a) {
  int64_t i = warp_row();
  if (i >= a.n) return;
  struct span dz = i < a.half ? dz1 : dz2;
  if (!dz.data) return;
  int64_t to = (i < a.half ? i : i - a.half) * a.d;
  float dot = 0;
  for (int64_t k = lane(); k < a.d; k += CUDA_WARP) dot += du[i * a.d + k] * a.u[i * a.d + k];
  dot = warp_sum(dot);
  for (int64_t k = lane(); k < a.d; k += CUDA_WARP)
    store(dz, to + k, (du[i * a.d + k] - dot * a.u[i * a.d + k]) / a.norm[i]);
}

/* --- Tiles of S ------------------------------------------------------------------------------------------ */

struct tile {
  float row[ROWS][DEPTH], column[DEPTH][COLUMNS + 1]; /* + 1: no two lanes write to one bank */
};

static __device__ __forceinline__ float element(const struct parts &a, int64_t row, int64_t k) {
  return row < a.n && k < a.d ? a.u[row * a.d + k] : 0;
}

/* s[c] = S of the warp's row and the column first + c * CUDA_WARP + lane. All threads of the block come here. */
static __device__ void similarities(const struct parts &a, struct tile *t, int64_t first_row, int64_t first,
                                    float s[PER_LANE]) {
  int thread = static_cast<int>(threadIdx.x), warp = thread / CUDA_WARP;
  for (int c = 0; c < PER_LANE; c++) s[c] = 0;
  for (int64_t k0 = 0; k0 < a.d; k0 += DEPTH) {
    __syncthreads();
    t->row[warp][lane()] = element(a, first_row + warp, k0 + lane());
    for (int i = thread; i < COLUMNS * DEPTH; i += CUDA_THREADS)
      t->column[i % DEPTH][i / DEPTH] = element(a, first + i / DEPTH, k0 + i % DEPTH);
    __syncthreads();
    for (int k = 0; k < DEPTH; k++)
      for (int c = 0; c < PER_LANE; c++) s[c] += t->row[warp][k] * t->column[k][c * CUDA_WARP + lane()];
  }
  for (int c = 0; c < PER_LANE; c++) s[c] *= a.inverse_temperature;
}

/* A sum of exponentials exp(top) * sum. NaN in a similarity reaches the sum. */
struct exponentials {
  float top, sum;
};

static __device__ __forceinline__ struct exponentials joined(struct exponentials a, struct exponentials b) {
  float top = fmaxf(a.top, b.top);
  float of_a = a.sum == 0 ? 0 : a.sum * expf(a.top - top), of_b = b.sum == 0 ? 0 : b.sum * expf(b.top - top);
  return {top, of_a + of_b};
}

static __device__ __forceinline__ struct exponentials of_warp(struct exponentials e) {
  for (int bits = CUDA_WARP / 2; bits > 0; bits /= 2) {
    struct exponentials other = {__shfl_xor_sync(0xffffffffu, e.top, bits),
                                 __shfl_xor_sync(0xffffffffu, e.sum, bits)};
    e = joined(e, other);
  }
  return e;
}

static __global__ void row_losses(float *losses, struct parts a) {
  __shared__ struct tile t;
  int64_t first_row = static_cast<int64_t>(blockIdx.x) * ROWS, row = first_row + threadIdx.x / CUDA_WARP;
  int64_t partner = (row + a.half) % a.n;
  struct exponentials e = {-INFINITY, 0};
  float positive = 0, s[PER_LANE];
  for (int64_t first = 0; first < a.n; first += COLUMNS) {
    similarities(a, &t, first_row, first, s);
    for (int c = 0; c < PER_LANE; c++) {
      int64_t column = first + c * CUDA_WARP + lane();
      if (column < a.n && column != row) e = joined(e, {s[c], 1});
      if (column == partner) positive = s[c];
    }
  }
  e = of_warp(e);
  positive = warp_sum(positive);
  if (row >= a.n || lane() != 0) return;
  a.log_sum[row] = e.top + logf(e.sum);
  losses[row] = a.log_sum[row] - positive;
}

/* dU = (dS + dS^T) U / temperature, dS = (softmax - onehot) / 2N; columns of dU from blockIdx.y * COLUMNS on. */
static __global__ void row_gradients(float *du, struct span loss_grad, struct parts a) {
  __shared__ struct tile t;
  __shared__ float weight[ROWS][COLUMNS];
  int warp = static_cast<int>(threadIdx.x) / CUDA_WARP;
  int64_t first_row = static_cast<int64_t>(blockIdx.x) * ROWS, row = first_row + warp;
  int64_t partner = (row + a.half) % a.n, first_d = static_cast<int64_t>(blockIdx.y) * COLUMNS;
  float scale = load(loss_grad, 0) * a.inverse_temperature / static_cast<float>(a.n);
  float own = row < a.n ? a.log_sum[row] : 0, s[PER_LANE], sum[PER_LANE] = {};
  for (int64_t first = 0; first < a.n; first += COLUMNS) {
    similarities(a, &t, first_row, first, s);
    for (int c = 0; c < PER_LANE; c++) {
      int64_t column = first + c * CUDA_WARP + lane();
      float both = column < a.n && column != row ? expf(s[c] - own) + expf(s[c] - a.log_sum[column]) : 0;
      weight[warp][c * CUDA_WARP + lane()] = scale * (both - (column == partner ? 2.0f : 0.0f));
    }
    __syncwarp();
    for (int64_t j = 0; j < COLUMNS && first + j < a.n; j++)
      for (int c = 0; c < PER_LANE; c++)
        sum[c] += weight[warp][j] * element(a, first + j, first_d + c * CUDA_WARP + lane());
    __syncwarp();
  }
  for (int c = 0; c < PER_LANE && row < a.n; c++) {
    int64_t k = first_d + c * CUDA_WARP + lane();
    if (k < a.d) du[row * a.d + k] = sum[c];
  }
}

static unsigned pieces(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

static enum status forward(struct node *n, const struct run *run) {
  const struct info_nce_attr *attr = static_cast<const struct info_nce_attr *>(n->attr);
  float *losses = static_cast<float *>(n->scratch_f);
  struct parts a = parts_of(n, n->saved ? n->saved : losses + 2 * n->in[0]->shape.dim[0]);
  enum status st = OK;
  TRY(launch(normalise, cuda_row_grid(a.n), CUDA_THREADS, 0, cuda_of(run), data_of(n->in[0]),
             data_of(n->in[1]), a, static_cast<float>(attr->min_norm)));
  TRY(launch(row_losses, pieces(a.n, ROWS), CUDA_THREADS, 0, cuda_of(run), losses, a));
  TRY(cuda_total(cuda_of(run), data_of(n->out), losses, a.n, 0, 1 / static_cast<double>(a.n)));
out:
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  struct parts a = parts_of(n, n->saved);
  float *du = static_cast<float *>(n->scratch_b);
  enum status st = OK;
  TRY(launch(row_gradients, dim3(pieces(a.n, ROWS), pieces(a.d, COLUMNS)), CUDA_THREADS, 0, cuda_of(run), du,
             grad_of(n->out), a));
  TRY(launch(through_normalisation, cuda_row_grid(a.n), CUDA_THREADS, 0, cuda_of(run),
             span_of(n->in[0], n->in_grad[0]), span_of(n->in[1], n->in_grad[1]), du, a));
out:
  return st;
}

} // namespace

CUDA_KERNEL(info_nce) = {
    .op = "info_nce", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
