/* For CUDA kernels (OP_cuda.cu): launching them, and tensors of either element type as vectors of CUDA_LANES
 * numbers. The subset of CUDA C++ that tests/emulation knows is the one to write in. */
#ifndef NN_CUDA_LAUNCH_CUH
#define NN_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

extern "C" {
#include "nn/cuda/cuda.h"
}
#include "nn/cuda/bf16.h"

/* `const struct kernel kernel_OP_cuda`, as the registry looks for it. */
#define CUDA_KERNEL(op)                                                                                      \
  extern "C" const struct kernel kernel_##op##_cuda;                                                         \
  const struct kernel kernel_##op##_cuda

#ifdef __CUDACC__
/* Shared memory whose size the launch gives, aligned for any vector. */
#define DYNAMIC_SHARED(type, name)                                                                           \
  extern __shared__ uint4 dynamic_shared_memory[];                                                           \
  type *name = reinterpret_cast<type *>(dynamic_shared_memory)
#endif

/* --- Launches --- */

static inline struct cuda *cuda_of(const struct run *run) { return static_cast<struct cuda *>(run->device); }

/* kernel<<<grid, block, shared, stream>>>(arguments...) with a status. */
template <typename... Parameters, typename... Arguments>
static inline enum status launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                                 const struct cuda *cuda, Arguments... arguments) {
  if (cuda->replays) return OK;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = cuda->stream;
  return cuda_check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "kernel launch");
}

enum { CUDA_THREADS = 256 };

/* One thread per item, for kernels that begin with `int64_t i = item();`. The grid has no limit that a tensor
 * reaches: 2^31 blocks of 256. */
static inline dim3 cuda_grid(int64_t items) {
  return dim3(static_cast<unsigned>((items + CUDA_THREADS - 1) / CUDA_THREADS));
}
template <typename... Parameters, typename... Arguments>
static inline enum status launch_items(int64_t items, void (*kernel)(Parameters...), const struct cuda *cuda,
                                       Arguments... arguments) {
  return launch(kernel, cuda_grid(items), CUDA_THREADS, 0, cuda, arguments...);
}
static __device__ __forceinline__ int64_t item() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

/* --- Numbers --- */

/* A tensor's memory with its element type. */
struct span {
  void *data;
  enum element element;
};

static inline struct span span_of(const struct tensor *t, const void *at) {
  return {const_cast<void *>(at), t->layout.element};
}
static inline struct span data_of(const struct tensor *t) { return span_of(t, t->data); }
static inline struct span grad_of(const struct tensor *t) { return span_of(t, t->grad); }

/* Vectors that hold all numbers of a tensor. */
static inline int64_t vectors_of(const struct tensor *t) {
  return (cuda_count(&t->shape, t->layout) + CUDA_LANES - 1) / CUDA_LANES;
}

struct vector {
  float lane[CUDA_LANES];
};

static __device__ __forceinline__ float load(struct span s, int64_t i) {
  return s.element == ELEMENT_BF16 ? bf16_widen(static_cast<const bf16 *>(s.data)[i])
                                   : static_cast<const float *>(s.data)[i];
}

static __device__ __forceinline__ void store(struct span s, int64_t i, float x) {
  if (s.element == ELEMENT_BF16) {
    static_cast<bf16 *>(s.data)[i] = bf16_round(x);
  } else {
    static_cast<float *>(s.data)[i] = x;
  }
}

/* Vector i: numbers i * CUDA_LANES and on. The type is the same for a whole launch, so no warp diverges. */
static __device__ __forceinline__ struct vector load_vector(struct span s, int64_t i) {
  struct vector v;
  if (s.element == ELEMENT_BF16) {
    uint4 raw = static_cast<const uint4 *>(s.data)[i];
    const unsigned pair[4] = {raw.x, raw.y, raw.z, raw.w};
    for (int k = 0; k < 4; k++) {
      v.lane[2 * k] = __uint_as_float(pair[k] << 16);
      v.lane[2 * k + 1] = __uint_as_float(pair[k] & 0xffff0000u);
    }
  } else {
    const float4 *at = static_cast<const float4 *>(s.data) + 2 * i;
    float4 low = at[0], high = at[1];
    v = {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
  }
  return v;
}

static __device__ __forceinline__ void store_vector(struct span s, int64_t i, struct vector v) {
  if (s.element == ELEMENT_BF16) {
    unsigned pair[4];
    for (int k = 0; k < 4; k++)
      pair[k] = bf16_round(v.lane[2 * k]).bits | static_cast<unsigned>(bf16_round(v.lane[2 * k + 1]).bits)
                                                     << 16;
    static_cast<uint4 *>(s.data)[i] = {pair[0], pair[1], pair[2], pair[3]};
  } else {
    float4 *at = static_cast<float4 *>(s.data) + 2 * i;
    at[0] = {v.lane[0], v.lane[1], v.lane[2], v.lane[3]};
    at[1] = {v.lane[4], v.lane[5], v.lane[6], v.lane[7]};
  }
}

#endif
