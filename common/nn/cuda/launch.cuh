/* For CUDA kernels (OP_cuda.cu): launching them, and tensors of either element type as vectors of CUDA_LANES
 * numbers. The subset of CUDA C++ that tests/emulation knows is the one to write in. */
#ifndef NN_CUDA_LAUNCH_CUH
#define NN_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

#include <initializer_list>

extern "C" {
#include "nn/cuda/cuda.h"
}
#include "nn/cuda/bf16.h"
#include "nn/cuda/divisor.h"

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

/* Whether 31 bits number the vectors of a tensor, as kernels that divide with a divisor need it; for prepare. E_SHAPE */
static inline enum status cuda_countable(const struct tensor *t) {
  if (vectors_of(t) >> DIVISOR_BITS == 0) return OK;
  return fail(E_SHAPE,
              "a tensor has more than the 2^34 numbers that cuda kernels count; take smaller batches");
}

struct vector {
  float lane[CUDA_LANES];
};

/* Kernels that wait for memory, and whose time counts, are compiled for each type (`template <int ELEMENT>`): a branch at
 * every access keeps a thread from having several of them under way. Inside, `known<ELEMENT>(s)` stands for s. */
enum { ELEMENT_ANY = -1 };

template <int ELEMENT> static __device__ __forceinline__ struct span known(struct span s) {
  if (ELEMENT != ELEMENT_ANY) s.element = static_cast<enum element>(ELEMENT);
  return s;
}

template <int ELEMENT> struct element_constant {
  constexpr operator int() const { return ELEMENT; }
};

/* f(type) with the type of all spans that are there, a constant of the compiler's, or ELEMENT_ANY where they differ:
 *     by_element({y, x}, [&](auto element) { return launch(double_it<element>, ...); }) */
template <typename Function>
static inline enum status by_element(std::initializer_list<struct span> spans, Function f) {
  int own = 0, bf16 = 0;
  for (const struct span &s : spans) {
    own += s.data && s.element == ELEMENT_OWN;
    bf16 += s.data && s.element == ELEMENT_BF16;
  }
  if (bf16 == 0) return f(element_constant<ELEMENT_OWN>());
  return own == 0 ? f(element_constant<ELEMENT_BF16>()) : f(element_constant<ELEMENT_ANY>());
}

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

/* A vector as it lies in memory; of bf16 the first half. Loads that are to be under way together stay packed until they are
 * needed, in half the registers. */
struct packed {
  uint4 half[2];
};

/* Vector i: numbers i * CUDA_LANES and on. The type is the same for a whole launch, so no warp diverges. */
static __device__ __forceinline__ struct packed load_packed(struct span s, int64_t i) {
  const uint4 *at = static_cast<const uint4 *>(s.data) + (s.element == ELEMENT_BF16 ? i : 2 * i);
  struct packed p = {};
  p.half[0] = at[0];
  if (s.element != ELEMENT_BF16) p.half[1] = at[1];
  return p;
}

static __device__ __forceinline__ struct vector unpack(struct packed p, enum element element) {
  const uint4 a = p.half[0], b = p.half[1];
  const unsigned word[CUDA_LANES] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  struct vector v;
  if (element == ELEMENT_BF16) {
    for (int k = 0; k < CUDA_LANES / 2; k++) {
      v.lane[2 * k] = __uint_as_float(word[k] << 16);
      v.lane[2 * k + 1] = __uint_as_float(word[k] & 0xffff0000u);
    }
  } else {
    for (int k = 0; k < CUDA_LANES; k++) v.lane[k] = __uint_as_float(word[k]);
  }
  return v;
}

static __device__ __forceinline__ struct vector load_vector(struct span s, int64_t i) {
  return unpack(load_packed(s, i), s.element);
}

static __device__ __forceinline__ void store_vector(struct span s, int64_t i, struct vector v) {
  if (s.element == ELEMENT_BF16) {
    unsigned pair[4];
    for (int k = 0; k < 4; k++) pair[k] = bf16_round_pair(v.lane[2 * k], v.lane[2 * k + 1]);
    static_cast<uint4 *>(s.data)[i] = {pair[0], pair[1], pair[2], pair[3]};
  } else {
    float4 *at = static_cast<float4 *>(s.data) + 2 * i;
    at[0] = {v.lane[0], v.lane[1], v.lane[2], v.lane[3]};
    at[1] = {v.lane[4], v.lane[5], v.lane[6], v.lane[7]};
  }
}

#endif
