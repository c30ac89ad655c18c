/* Products by cuBLASLt in float64, the rest here. Features lie on the device as they come, in float32; BLOCK rows at a
 * time are widened into the factor of both products, which costs a pass over memory where the products cost several and
 * keeps what is needed beside the features the same whatever their number.
 *
 * The factor's columns, dim + 1, are filled up with zeros so that rows begin at multiples of 64 bytes, and theta's and
 * the gradient's with them; the last block is filled up with rows of zeros, so that one algorithm serves every block.
 * Neither changes a sum. */
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/cuda/matmul.h"
#include "nn/softmax_regression/softmax_regression_variant.h"
}

namespace {

enum { BLOCK = 4096, WHOLE = 8 /* columns */ };
static const char advice[] = "--device cpu needs none";

struct work {
  struct cuda *cuda;
  int64_t dim, columns, classes, block;
  struct matmul *forward, *backward; /* logits, gradient */
  double *rows;                      /* [block, columns]: features, 1, zeros */
  double *logits;                    /* [block, classes]: logits, then their derivative */
  double *theta;                     /* [classes, columns] */
  double *losses;                    /* [most_rows] */
  double *result;                    /* [classes, columns] the gradient, and behind it the loss */
  unsigned *answers;                 /* [classes] right ones, [classes] rows */
  void *workspace;
  double *host_theta, *host_result; /* pinned; the columns beyond dim + 1 of theta stay zero */
  unsigned *host_answers;
};

static struct work *work_of(const struct softmax_regression *s) {
  return static_cast<struct work *>(s->work);
}

/* --- Kernels: a warp per row ------------------------------------------------------------------------------ */

static __global__ void widen(double *rows, int64_t block, int64_t columns, const float *x, int64_t n,
                             int64_t dim) {
  int64_t row = warp_row();
  if (row >= block) return;
  for (int64_t j = lane(); j < columns; j += CUDA_WARP) {
    double value = j == dim ? 1 : 0;
    if (j < dim && row < n) value = static_cast<double>(x[row * dim + j]);
    rows[row * columns + j] = row < n ? value : 0;
  }
}

/* The largest, as fmax has it: NaN only where all are. The same for every lane. */
static __device__ __forceinline__ double warp_largest(double x) {
  for (int bits = CUDA_WARP / 2; bits > 0; bits /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, bits));
  return x;
}

/* Each row's cross-entropy; z becomes its derivative, softmax(z) - onehot(y). A block's rows from n on are zeros, their
 * logits too, and may stay so. */
static __global__ void row_losses(double *losses, double *z, const int32_t *y, int64_t n, int64_t classes) {
  int64_t row = warp_row();
  if (row >= n) return;
  double *at = z + row * classes;
  double largest = -INFINITY, sum = 0, answer = 0;
  for (int64_t c = lane(); c < classes; c += CUDA_WARP) largest = fmax(largest, at[c]);
  largest = warp_largest(largest);
  for (int64_t c = lane(); c < classes; c += CUDA_WARP) {
    if (c == y[row]) answer = at[c];
    sum += at[c] = exp(at[c] - largest);
  }
  sum = warp_sum(sum);
  for (int64_t c = lane(); c < classes; c += CUDA_WARP) at[c] = at[c] / sum - (c == y[row] ? 1 : 0);
  if (lane() == y[row] % CUDA_WARP) losses[row] = log(sum) + largest - answer;
}

/* By one block. */
static __global__ void total(double *out, const double *losses, int64_t n) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < n; i += CUDA_THREADS) mine += losses[i];
  double sum = block_sum(mine);
  if (threadIdx.x == 0) *out = sum;
}

/* A thread per row. Whole numbers may be added in any order. */
static __global__ void count_answers(unsigned *answers, const double *z, const int32_t *y, int64_t n,
                                     int64_t classes) {
  int64_t row = item();
  if (row >= n) return;
  const double *at = z + row * classes;
  int64_t best = 0;
  for (int64_t c = 1; c < classes; c++)
    if (at[c] > at[best]) best = c;
  if (best == y[row]) atomicAdd(&answers[best], 1u);
  atomicAdd(&answers[classes + y[row]], 1u);
}

/* --- Opening ------------------------------------------------------------------------------------------------ */

static enum status open_products(struct work *w) {
  struct matmul_shape forward = {}, backward = {};
  forward.rows = w->block, forward.columns = w->classes, forward.inner = w->columns;
  forward.b_transposed = true;
  backward.rows = w->classes, backward.columns = w->columns, backward.inner = w->block;
  backward.a_transposed = true;
  forward.in = forward.out = backward.in = backward.out = NUMBER_F64;
  enum status st = matmul_open(&w->forward, w->cuda->blas, &forward);
  return st == OK ? matmul_open(&w->backward, w->cuda->blas, &backward) : st;
}

template <typename T> static enum status take(T **memory, int64_t count) {
  return cuda_malloc_or(reinterpret_cast<void **>(memory), static_cast<size_t>(count) * sizeof(T),
                        "linear evaluation", advice);
}

template <typename T> static enum status take_pinned(T **memory, int64_t count) {
  size_t bytes = static_cast<size_t>(count) * sizeof(T);
  enum status st = cuda_malloc_host_or(reinterpret_cast<void **>(memory), bytes, "linear evaluation", advice);
  if (st == OK) memset(*memory, 0, bytes);
  return st;
}

static enum status take_memory(struct work *w, int64_t most_rows) {
  const int64_t params = w->classes * w->columns;
  const size_t forward = matmul_workspace(w->forward), backward = matmul_workspace(w->backward);
  enum status st = OK;
  TRY(take(&w->rows, w->block * w->columns));
  TRY(take(&w->logits, w->block * w->classes));
  TRY(take(&w->theta, params));
  TRY(take(&w->losses, most_rows));
  TRY(take(&w->result, params + 1));
  TRY(take(&w->answers, 2 * w->classes));
  TRY(cuda_malloc_or(&w->workspace, (forward > backward ? forward : backward) + 1, "linear evaluation",
                     advice));
  TRY(take_pinned(&w->host_theta, params));
  TRY(take_pinned(&w->host_result, params + 1));
  TRY(take_pinned(&w->host_answers, 2 * w->classes));
out:
  return st;
}

static enum status open_work(struct softmax_regression *s) {
  struct work *w = static_cast<struct work *>(calloc(1, sizeof *w));
  enum status st = OK;
  if (!w) return fail(E_MEMORY, "out of memory for the classifier");
  s->work = w;
  w->cuda = static_cast<struct cuda *>(s->device);
  w->dim = s->dim;
  w->columns = (s->dim + 1 + WHOLE - 1) / WHOLE * WHOLE;
  w->classes = s->classes;
  w->block = s->most_rows < BLOCK ? s->most_rows : static_cast<int64_t>(BLOCK);
  TRY(cuda_need_blas(w->cuda));
  TRY(open_products(w));
  TRY(take_memory(w, s->most_rows));
out:
  return st;
}

static void close_work(struct softmax_regression *s) {
  struct work *w = work_of(s);
  if (!w) return;
  cudaFreeHost(w->host_answers);
  cudaFreeHost(w->host_result);
  cudaFreeHost(w->host_theta);
  cudaFree(w->workspace);
  cudaFree(w->answers);
  cudaFree(w->result);
  cudaFree(w->losses);
  cudaFree(w->theta);
  cudaFree(w->logits);
  cudaFree(w->rows);
  matmul_close(&w->backward);
  matmul_close(&w->forward);
  free(w);
}

/* --- Transfers ---------------------------------------------------------------------------------------------- */

static enum status send(const struct work *w, void *to, const void *from, int64_t bytes) {
  return cuda_check(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, w->cuda->stream),
      "copying to the device");
}

/* Waits for all that was asked of the device. */
static enum status receive(const struct work *w, void *to, const void *from, int64_t bytes) {
  enum status st = cuda_check(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, w->cuda->stream),
      "copying from the device");
  return st == OK ? cuda_check(cudaStreamSynchronize(w->cuda->stream), "waiting for the GPU") : st;
}

/* Once for many evaluations, so that its memory need not be pinned. */
static enum status load(struct softmax_regression *s, const struct samples *samples, struct samples *rows) {
  const struct work *w = work_of(s);
  const int64_t n = samples->n;
  float *x = NULL;
  int32_t *y = NULL;
  enum status st = take(&x, n * s->dim);
  if (st != OK) return fail_within(st, "the features of %lld images", static_cast<long long>(n));
  rows->x = x;
  TRY(take(&y, n));
  rows->y = y;
  TRY(send(w, x, samples->x, n * s->dim * static_cast<int64_t>(sizeof *x)));
  TRY(send(w, y, samples->y, n * static_cast<int64_t>(sizeof *y)));
  TRY(cuda_check(cudaStreamSynchronize(w->cuda->stream), "waiting for the GPU"));
out:
  return st;
}

static void unload(struct softmax_regression *, struct samples *rows) {
  cudaFree(const_cast<float *>(rows->x));
  cudaFree(const_cast<int32_t *>(rows->y));
}

static enum status send_theta(const struct work *w, const double *theta) {
  const int64_t given = w->dim + 1, bytes = static_cast<int64_t>(sizeof *theta);
  for (int64_t c = 0; c < w->classes; c++)
    memcpy(w->host_theta + c * w->columns, theta + c * given, static_cast<size_t>(given * bytes));
  return send(w, w->theta, w->host_theta, w->classes * w->columns * bytes);
}

/* --- Evaluations -------------------------------------------------------------------------------------------- */

static int64_t rows_in_block(const struct work *w, const struct samples *rows, int64_t first) {
  return rows->n - first < w->block ? rows->n - first : w->block;
}

static enum status widen_block(const struct work *w, const struct samples *rows, int64_t first) {
  return launch(widen, cuda_row_grid(w->block), CUDA_THREADS, 0, w->cuda, w->rows, w->block, w->columns,
                rows->x + first * w->dim, rows_in_block(w, rows, first), w->dim);
}

static enum status block_logits(const struct work *w, const struct samples *rows, int64_t first) {
  struct matmul_call call = {};
  call.a = w->rows, call.b = w->theta, call.c = w->logits, call.workspace = w->workspace;
  enum status st = widen_block(w, rows, first);
  return st == OK ? matmul_run(w->forward, w->cuda->stream, &call) : st;
}

static enum status objective(struct softmax_regression *s, const struct samples *rows, const double *theta,
                             double *loss, double *gradient) {
  const struct work *w = work_of(s);
  const int64_t params = w->classes * w->columns;
  struct matmul_call call = {};
  call.a = w->logits, call.b = w->rows, call.c = w->result, call.workspace = w->workspace;
  enum status st = OK;
  TRY(send_theta(w, theta));
  for (int64_t first = 0; first < rows->n; first += w->block) {
    const int64_t n = rows_in_block(w, rows, first);
    TRY(block_logits(w, rows, first));
    TRY(launch(row_losses, cuda_row_grid(n), CUDA_THREADS, 0, w->cuda, w->losses + first, w->logits,
               rows->y + first, n, w->classes));
    call.accumulate = first > 0;
    TRY(matmul_run(w->backward, w->cuda->stream, &call));
  }
  TRY(launch(total, 1, CUDA_THREADS, 0, w->cuda, w->result + params, w->losses, rows->n));
  TRY(receive(w, w->host_result, w->result, (params + 1) * static_cast<int64_t>(sizeof *w->result)));
  *loss = w->host_result[params];
  for (int64_t c = 0; c < w->classes; c++)
    for (int64_t j = 0; j <= w->dim; j++)
      gradient[c * (w->dim + 1) + j] += w->host_result[c * w->columns + j];
out:
  return st;
}

static enum status count(struct softmax_regression *s, const struct samples *rows, const double *theta,
                         int64_t *correct, int64_t *count_of) {
  const struct work *w = work_of(s);
  const int64_t bytes = 2 * w->classes * static_cast<int64_t>(sizeof *w->answers);
  enum status st = OK;
  TRY(send_theta(w, theta));
  TRY(cuda_check(cudaMemsetAsync(w->answers, 0, static_cast<size_t>(bytes), w->cuda->stream), "clearing"));
  for (int64_t first = 0; first < rows->n; first += w->block) {
    const int64_t n = rows_in_block(w, rows, first);
    TRY(block_logits(w, rows, first));
    TRY(launch_items(n, count_answers, w->cuda, w->answers, w->logits, rows->y + first, n, w->classes));
  }
  TRY(receive(w, w->host_answers, w->answers, bytes));
  for (int64_t c = 0; c < w->classes; c++) {
    correct[c] = w->host_answers[c];
    count_of[c] = w->host_answers[w->classes + c];
  }
out:
  return st;
}

/* The whole of A'A, twice what is needed: as much as (dim + 1) / (2 classes) evaluations, and a sweep asks twice. So its
 * memory comes and goes. */
static enum status gram(struct softmax_regression *s, const struct samples *rows, double *out) {
  const struct work *w = work_of(s);
  const int64_t size = w->dim + 1;
  struct matmul_shape shape = {};
  struct matmul *product = NULL;
  struct matmul_call call = {};
  double *there = NULL;
  enum status st = OK;
  shape.rows = shape.columns = size, shape.inner = w->block;
  shape.a_transposed = true;
  shape.a_stride = shape.b_stride = w->columns;
  shape.in = shape.out = NUMBER_F64;
  TRY(matmul_open(&product, w->cuda->blas, &shape));
  TRY(take(&there, size * size));
  TRY(cuda_malloc_or(&call.workspace, matmul_workspace(product) + 1, "linear evaluation", advice));
  call.a = call.b = w->rows, call.c = there;
  for (int64_t first = 0; first < rows->n; first += w->block) {
    TRY(widen_block(w, rows, first));
    call.accumulate = first > 0;
    TRY(matmul_run(product, w->cuda->stream, &call));
  }
  TRY(receive(w, out, there, size * size * static_cast<int64_t>(sizeof *out)));
out:
  cudaFree(call.workspace);
  cudaFree(there);
  matmul_close(&product);
  return st;
}

const struct softmax_regression_variant variant = {.open = open_work,
                                                   .close = close_work,
                                                   .load = load,
                                                   .unload = unload,
                                                   .objective = objective,
                                                   .count = count,
                                                   .gram = gram};

} // namespace

CUDA_KERNEL(softmax_regression) = {.op = "softmax_regression", .backend = "cuda", .algorithm = &variant};
