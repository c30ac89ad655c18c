/* Never more than a tile of S: forward keeps U, its norms and the logarithm of each row's sum of exponentials;
 * backward computes S again, of which p_ij = exp(S_ij - l_i) and p_ji = exp(S_ij - l_j) both follow.
 *
 * A block takes ROWS rows, PER_WARP to a warp, and some of the tiles of COLUMNS columns, PER_LANE to a lane; what the
 * blocks of a row find is joined in the order of the columns. S is read off U transposed: neighbouring rows of U are
 * neighbours there, a vector for a thread, and the whole of what a block reads fits its processor's cache. Both are
 * padded by zeros to whole tiles. All in float32: the embeddings are few. */
#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/info_nce/info_nce.h"
}

namespace {

enum { PER_WARP = 4, ROWS = PER_WARP * CUDA_WARPS, PER_LANE = 2, COLUMNS = PER_LANE * CUDA_WARP };
enum { QUAD = 4, CHUNK = QUAD * CUDA_WARP /* columns of dU that a block makes */ };
/* Loads that a thread has under way; of a processor so few blocks at once that there are registers for them. */
enum { AHEAD = 8, BLOCKS_AT_ONCE = 2 };

/* saved: U [t_stride, u_stride], U^T [u_stride, t_stride], norms [2N], logarithms [2N]. Forward scratch: of every split and
 * row the sum of exponentials, then rows' positive similarities and losses [2N]; backward scratch: dU [splits, 2N, u_stride]. */
struct parts {
  float *u, *t, *norm, *log_sum;
  int64_t half, n, d;     /* N, 2N, D */
  int u_stride, t_stride; /* D, 2N in whole tiles */
  int64_t splits, tiles;  /* of the columns; tiles of a split */
  float inverse_temperature;
};

/* A sum of exponentials exp(top) * sum. NaN in a similarity reaches the sum. */
struct exponentials {
  float top, sum;
};

static int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

/* Numbers of U. */
static int64_t matrix(const struct parts &a) { return static_cast<int64_t>(a.u_stride) * a.t_stride; }

/* `saved` NULL: what its size is asked for. */
static struct parts parts_of(const struct node *n, const struct cuda *cuda, void *saved) {
  const struct info_nce_attr *attr = static_cast<const struct info_nce_attr *>(n->attr);
  struct parts a = {};
  a.half = n->in[0]->shape.dim[0];
  a.n = 2 * a.half;
  a.d = n->in[0]->shape.dim[1];
  a.u_stride = static_cast<int>(pieces(a.d, CHUNK) * CHUNK);
  a.t_stride = static_cast<int>(pieces(a.n, COLUMNS) * COLUMNS);
  const int64_t tiles = pieces(a.n, COLUMNS), wanted = pieces(2 * cuda->processors, pieces(a.n, ROWS));
  a.tiles = pieces(tiles, wanted < tiles ? wanted : tiles);
  a.splits = pieces(tiles, a.tiles);
  a.inverse_temperature = static_cast<float>(1 / attr->temperature);
  a.u = static_cast<float *>(saved);
  if (!saved) return a;
  a.t = a.u + matrix(a);
  a.norm = a.t + matrix(a);
  a.log_sum = a.norm + a.n;
  return a;
}

static size_t saved_bytes(const struct parts &a) {
  return cuda_whole(static_cast<size_t>(2 * matrix(a) + 2 * a.n) * sizeof(float));
}

static enum status prepare(struct node *n, const struct run *run) {
  const struct parts a = parts_of(n, cuda_of(run), nullptr);
  n->saved_bytes = n->out->wants_grad ? saved_bytes(a) : 0;
  n->forward_scratch = static_cast<size_t>(a.splits * a.n) * sizeof(struct exponentials) +
                       static_cast<size_t>(2 * a.n) * sizeof(float) +
                       (n->out->wants_grad ? 0 : saved_bytes(a));
  n->backward_scratch = static_cast<size_t>(a.splits * a.n * a.u_stride) * sizeof(float);
  return OK;
}

/* --- Rows of U ------------------------------------------------------------------------------------------- */

static __global__ void normalise(struct span z1, struct span z2, struct parts a, float min_norm) {
  int64_t i = warp_row();
  if (i >= a.t_stride) return;
  struct span z = i < a.half ? z1 : z2;
  int64_t from = (i < a.half ? i : i - a.half) * a.d, d = i < a.n ? a.d : 0;
  float square = 0;
  for (int64_t k = lane(); k < d; k += CUDA_WARP) square += load(z, from + k) * load(z, from + k);
  float norm = fmaxf(sqrtf(warp_sum(square)), min_norm);
  for (int64_t k = lane(); k < a.u_stride; k += CUDA_WARP)
    a.u[i * a.u_stride + k] = a.t[k * a.t_stride + i] = k < d ? load(z, from + k) / norm : 0;
  if (lane() == 0 && i < a.n) a.norm[i] = norm;
}

/* dz = (dU - u <u, dU>) / norm, dU the sum of the splits', which is left with the first. */
static __global__ void through_normalisation(struct span dz1, struct span dz2, float *du, struct parts a) {
  int64_t i = warp_row();
  if (i >= a.n) return;
  struct span dz = i < a.half ? dz1 : dz2;
  if (!dz.data) return;
  const float *u = a.u + i * a.u_stride;
  float *mine = du + i * a.u_stride, dot = 0;
  for (int64_t k = lane(); k < a.d; k += CUDA_WARP) {
    float sum = 0;
    for (int64_t split = 0; split < a.splits; split++) sum += mine[split * a.n * a.u_stride + k];
    mine[k] = sum;
    dot += sum * u[k];
  }
  dot = warp_sum(dot);
  int64_t to = (i < a.half ? i : i - a.half) * a.d;
  for (int64_t k = lane(); k < a.d; k += CUDA_WARP) store(dz, to + k, (mine[k] - dot * u[k]) / a.norm[i]);
}

/* --- Tiles of S ------------------------------------------------------------------------------------------ */

/* The first of this warp's rows. */
static __device__ __forceinline__ int64_t first_row() {
  return static_cast<int64_t>(blockIdx.x) * ROWS + static_cast<int64_t>(threadIdx.x) / CUDA_WARP * PER_WARP;
}

static __device__ __forceinline__ int64_t partner_of(const struct parts &a, int64_t row) {
  return row < a.half ? row + a.half : row - a.half;
}

/* Which of the tiles are the block's. */
static __device__ __forceinline__ int64_t first_tile(const struct parts &a) { return blockIdx.y * a.tiles; }
static __device__ __forceinline__ int64_t end_tile(const struct parts &a) {
  const int64_t end = first_tile(a) + a.tiles, all = a.t_stride / COLUMNS;
  return end < all ? end : all;
}

/* s[r][c] = S of row + r and column + c. */
static __device__ __forceinline__ void similarities(const struct parts &a, int64_t row, int64_t column,
                                                    float s[PER_WARP][PER_LANE]) {
  const float *of_rows = a.t + row, *of_columns = a.t + column;
  for (int r = 0; r < PER_WARP; r++)
    for (int c = 0; c < PER_LANE; c++) s[r][c] = 0;
  for (int first = 0; first < a.d; first += AHEAD) {
    float4 rows[AHEAD];
    float2 columns[AHEAD];
    for (int k = 0; k < AHEAD; k++) {
      rows[k] = *reinterpret_cast<const float4 *>(of_rows + k * a.t_stride);
      columns[k] = *reinterpret_cast<const float2 *>(of_columns + k * a.t_stride);
    }
    for (int k = 0; k < AHEAD; k++) {
      const float row_of[PER_WARP] = {rows[k].x, rows[k].y, rows[k].z, rows[k].w},
                  column_of[PER_LANE] = {columns[k].x, columns[k].y};
      for (int r = 0; r < PER_WARP; r++)
        for (int c = 0; c < PER_LANE; c++) s[r][c] += row_of[r] * column_of[c];
    }
    of_rows += static_cast<int64_t>(AHEAD) * a.t_stride;
    of_columns += static_cast<int64_t>(AHEAD) * a.t_stride;
  }
  for (int r = 0; r < PER_WARP; r++)
    for (int c = 0; c < PER_LANE; c++) s[r][c] *= a.inverse_temperature;
}

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

/* Every row's sum of exponentials over the columns of a split, [splits, 2N], and its similarity to its partner. */
static __global__ void __launch_bounds__(CUDA_THREADS, BLOCKS_AT_ONCE)
    sum_exponentials(struct exponentials *sums, float *positive, struct parts a) {
  const int64_t row = first_row();
  if (row >= a.n) return;
  struct exponentials e[PER_WARP];
  for (int r = 0; r < PER_WARP; r++) e[r] = {-INFINITY, 0};
  for (int64_t tile = first_tile(a); tile < end_tile(a); tile++) {
    const int64_t column = tile * COLUMNS + PER_LANE * lane();
    float s[PER_WARP][PER_LANE];
    similarities(a, row, column, s);
    for (int r = 0; r < PER_WARP; r++) {
      for (int c = 0; c < PER_LANE; c++) {
        if (column + c < a.n && column + c != row + r) e[r] = joined(e[r], {s[r][c], 1});
        if (row + r < a.n && column + c == partner_of(a, row + r)) positive[row + r] = s[r][c];
      }
    }
  }
  for (int r = 0; r < PER_WARP; r++) {
    e[r] = of_warp(e[r]);
    if (lane() == 0 && row + r < a.n) sums[blockIdx.y * a.n + row + r] = e[r];
  }
}

static __global__ void row_losses(float *losses, const struct exponentials *sums, const float *positive,
                                  struct parts a) {
  const int64_t row = item();
  if (row >= a.n) return;
  struct exponentials e = sums[row];
  for (int64_t split = 1; split < a.splits; split++) e = joined(e, sums[split * a.n + row]);
  a.log_sum[row] = e.top + logf(e.sum);
  losses[row] = a.log_sum[row] - positive[row];
}

/* What column j of S passes to row i: dS + dS^T over the temperature, dS = (softmax - onehot) / 2N. */
static __device__ __forceinline__ float weight_of(const struct parts &a, float scale, float s, float log_sum,
                                                  int64_t row, int64_t column) {
  if (row >= a.n || column >= a.n) return 0;
  float both = column == row ? 0 : expf(s - log_sum) + expf(s - a.log_sum[column]);
  return scale * (both - (column == partner_of(a, row) ? 2.0f : 0.0f));
}

/* sum[r][c] += over COLUMNS columns of S the weight for row r of number c there: u is at the first of their rows of U. */
static __device__ __forceinline__ void add_rows(const float *u, int stride, const float4 *weight,
                                                float sum[PER_WARP][QUAD]) {
  for (int first = 0; first < COLUMNS; first += AHEAD, u += static_cast<int64_t>(AHEAD) * stride) {
    float4 rows[AHEAD];
    for (int j = 0; j < AHEAD; j++) rows[j] = *reinterpret_cast<const float4 *>(u + j * stride);
    for (int j = 0; j < AHEAD; j++) {
      const float4 w = weight[first + j];
      const float row_of[PER_WARP] = {w.x, w.y, w.z, w.w},
                  column_of[QUAD] = {rows[j].x, rows[j].y, rows[j].z, rows[j].w};
      for (int r = 0; r < PER_WARP; r++)
        for (int c = 0; c < QUAD; c++) sum[r][c] += row_of[r] * column_of[c];
    }
  }
}

/* dU = (dS + dS^T) U / temperature over the columns of a split, [splits, 2N, D]; a CHUNK of its columns. */
static __global__ void __launch_bounds__(CUDA_THREADS, BLOCKS_AT_ONCE)
    row_gradients(float *du, struct span loss_grad, struct parts a) {
  __shared__ float4 weights[CUDA_WARPS][COLUMNS]; /* of PER_WARP rows */
  const int64_t row = first_row(), d = static_cast<int64_t>(blockIdx.z) * CHUNK + QUAD * lane();
  if (row >= a.n) return;
  const float scale = load(loss_grad, 0) * a.inverse_temperature / static_cast<float>(a.n);
  float4 *weight = weights[threadIdx.x / CUDA_WARP];
  float log_sum[PER_WARP], sum[PER_WARP][QUAD] = {};
  for (int r = 0; r < PER_WARP; r++) log_sum[r] = row + r < a.n ? a.log_sum[row + r] : 0;
  for (int64_t tile = first_tile(a); tile < end_tile(a); tile++) {
    const int64_t column = tile * COLUMNS + PER_LANE * lane();
    float s[PER_WARP][PER_LANE];
    similarities(a, row, column, s);
    __syncwarp(); /* earlier weights have been read */
    for (int c = 0; c < PER_LANE; c++) {
      float w[PER_WARP];
      for (int r = 0; r < PER_WARP; r++) w[r] = weight_of(a, scale, s[r][c], log_sum[r], row + r, column + c);
      weight[PER_LANE * lane() + c] = {w[0], w[1], w[2], w[3]};
    }
    __syncwarp();
    add_rows(a.u + tile * COLUMNS * a.u_stride + d, a.u_stride, weight, sum);
  }
  for (int r = 0; r < PER_WARP; r++)
    if (row + r < a.n)
      *reinterpret_cast<float4 *>(du + (blockIdx.y * a.n + row + r) * a.u_stride +
                                  d) = {sum[r][0], sum[r][1], sum[r][2], sum[r][3]};
}

static dim3 grid_of(const struct parts &a, int64_t chunks) {
  return dim3(static_cast<unsigned>(pieces(a.n, ROWS)), static_cast<unsigned>(a.splits),
              static_cast<unsigned>(chunks));
}

static enum status forward(struct node *n, const struct run *run) {
  const struct info_nce_attr *attr = static_cast<const struct info_nce_attr *>(n->attr);
  struct cuda *cuda = cuda_of(run);
  char *room = static_cast<char *>(n->scratch_f);
  const struct parts a = parts_of(n, cuda, n->saved ? n->saved : room);
  if (!n->saved) room += saved_bytes(a);
  struct exponentials *sums = reinterpret_cast<struct exponentials *>(room);
  float *positive = reinterpret_cast<float *>(sums + a.splits * a.n), *losses = positive + a.n;
  enum status st = OK;
  TRY(launch(normalise, cuda_row_grid(a.t_stride), CUDA_THREADS, 0, cuda, data_of(n->in[0]),
             data_of(n->in[1]), a, static_cast<float>(attr->min_norm)));
  TRY(launch(sum_exponentials, grid_of(a, 1), CUDA_THREADS, 0, cuda, sums, positive, a));
  TRY(launch_items(a.n, row_losses, cuda, losses, static_cast<const struct exponentials *>(sums),
                   static_cast<const float *>(positive), a));
  TRY(cuda_total(cuda, data_of(n->out), losses, a.n, 0, 1 / static_cast<double>(a.n)));
out:
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  const struct parts a = parts_of(n, cuda_of(run), n->saved);
  float *du = static_cast<float *>(n->scratch_b);
  enum status st = OK;
  TRY(launch(row_gradients, grid_of(a, a.u_stride / CHUNK), CUDA_THREADS, 0, cuda_of(run), du,
             grad_of(n->out), a));
  TRY(launch(through_normalisation, cuda_row_grid(a.n), CUDA_THREADS, 0, cuda_of(run),
             span_of(n->in[0], n->in_grad[0]), span_of(n->in[1], n->in_grad[1]), du, a));
out:
  return st;
}

} // namespace

CUDA_KERNEL(info_nce) = {
    .op = "info_nce", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
