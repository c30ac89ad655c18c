/* Kernels with mistakes that a GPU shows now and then, and the emulation in the order named behind each. */
#include "faulty_kernels.h"

#include "cuda_runtime.h"

namespace {
enum { THREADS = 64 };

/* Any: nobody wrote what is read. */
template <int N> __global__ void read_unwritten(float *out) {
  __shared__ float x[N];
  out[threadIdx.x] = x[threadIdx.x];
}

/* Reverse: the neighbour below has to have written. */
__global__ void read_before_a_barrier(float *out) {
  __shared__ float x[THREADS];
  x[threadIdx.x] = 1;
  out[threadIdx.x] = x[threadIdx.x ? threadIdx.x - 1 : 0];
}

/* Reverse: the neighbour above must not have gone on. */
__global__ void write_before_a_barrier(float *out) {
  __shared__ float x[THREADS + 1];
  x[threadIdx.x] = x[THREADS] = 1;
  __syncthreads();
  out[threadIdx.x] = x[threadIdx.x + 1];
  x[threadIdx.x] = 2;
}

/* Any: a warp, whose own barrier holds nobody else, gets ahead of the other. */
__global__ void pass_a_warp_barrier(float *out) {
  __shared__ float x[THREADS];
  x[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = x[(threadIdx.x + THREADS / 2) % THREADS];
  __syncwarp();
  x[threadIdx.x] = 2;
}

/* Shuffled: fine from the ends, not from the middle. */
__global__ void look_both_ways(float *out) {
  __shared__ float x[THREADS];
  const int i = (int)threadIdx.x;
  x[i] = 1;
  const bool below = i > 0 && x[i - 1] == 1, above = i < THREADS - 1 && x[i + 1] == 1;
  out[i] = below || above || i == 0 || i == THREADS - 1 ? 1 : 2;
}

/* Reverse: a block relies on the one before it. */
__global__ void follow_a_block(float *out) {
  const unsigned b = blockIdx.x;
  out[b] = b == 0 ? 1 : out[b - 1];
}
} // namespace

extern "C" cudaError_t run_faulty(enum faulty_kernel which, float *out, cudaStream_t stream) {
  void (*const kernels[])(float *) = {read_unwritten<THREADS>, read_before_a_barrier, write_before_a_barrier,
                                      pass_a_warp_barrier,     look_both_ways,        follow_a_block};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(which == FAULTY_FOLLOW_A_BLOCK ? THREADS : 1);
  config.blockDim = dim3(which == FAULTY_FOLLOW_A_BLOCK ? 1 : THREADS);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernels[which], out);
}
