/* Sums of a warp, a block and a column of numbers, each in a fixed order. For kernels. */
#ifndef NN_CUDA_REDUCE_CUH
#define NN_CUDA_REDUCE_CUH

#include "nn/cuda/launch.cuh"

enum { CUDA_WARP = 32, CUDA_WARPS = CUDA_THREADS / CUDA_WARP };

static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % CUDA_WARP; }

/* One warp per row, for kernels that begin with `int64_t row = warp_row();`. */
static inline dim3 cuda_row_grid(int64_t rows) { return cuda_grid(rows * CUDA_WARP); }
static __device__ __forceinline__ int64_t warp_row() { return item() / CUDA_WARP; }

/* The same sum for every lane. All lanes come here. */
template <typename T> static __device__ __forceinline__ T warp_sum(T x) {
  for (int bits = CUDA_WARP / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(0xffffffffu, x, bits);
  return x;
}

/* The same sum for every thread of a block of CUDA_THREADS. All threads come here. */
template <typename T> static __device__ T block_sum(T x) {
  __shared__ T of_warp[CUDA_WARPS];
  x = warp_sum(x);
  __syncthreads(); /* an earlier sum has been read */
  if (lane() == 0) of_warp[threadIdx.x / CUDA_WARP] = x;
  __syncthreads();
  T sum = 0;
  for (int i = 0; i < CUDA_WARPS; i++) sum += of_warp[i];
  return sum;
}

/* The sum over the warps of a block of CUDA_THREADS, for lanes of one number each: blocks that take CUDA_WARP columns of a
 * matrix, its warps the rows in turn. The same for all warps. All threads come here. */
template <typename T> static __device__ T column_sum(T x) {
  __shared__ T of_warp[CUDA_WARPS][CUDA_WARP];
  __syncthreads(); /* an earlier sum has been read */
  of_warp[threadIdx.x / CUDA_WARP][lane()] = x;
  __syncthreads();
  T sum = 0;
  for (int i = 0; i < CUDA_WARPS; i++) sum += of_warp[i][lane()];
  return sum;
}
static inline dim3 cuda_column_grid(int64_t columns) {
  return dim3(static_cast<unsigned>((columns + CUDA_WARP - 1) / CUDA_WARP));
}
static __device__ __forceinline__ int64_t block_column() {
  return static_cast<int64_t>(blockIdx.x) * CUDA_WARP + lane();
}

/* out[0] = offset + scale * (the sum of count numbers): a loss from its rows. */
enum status cuda_total(const struct cuda *cuda, struct span out, const float *rows, int64_t count,
                       double offset, double scale);

#endif
