/* CUDA C++ for g++: kernels become functions, a launch calls them for every thread. See ../README.md. */
#ifndef EMULATION_CUDA_RUNTIME_H
#define EMULATION_CUDA_RUNTIME_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
/* Blocks run one after another. A .cu file has no other variables of its own: the Makefile gives its .bss a name, by
 * which every block finds NaN there. */
#define __shared__   static
#define __constant__ static

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

extern uint3 threadIdx, blockIdx; /* of the thread that runs now */
extern dim3 blockDim, gridDim;
enum { warpSize = 32 };

namespace emulation {
/* As cudaLaunchKernel: queued, recorded or refused. */
cudaError_t launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   std::function<void()> thread);
void *dynamic_shared();
void block_barrier();
void warp_barrier(unsigned mask);
/* What lane `source` of this warp passed; all lanes of the mask must call. */
uint64_t warp_exchange(unsigned mask, uint64_t bits, unsigned source);
unsigned lane();

template <typename T> T shuffle(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8, "shuffles move at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_exchange(mask, bits, source);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
} // namespace emulation

/* Shared memory whose size the launch gives: `extern __shared__` has no form in C++. */
#define DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(emulation::dynamic_shared())

inline void __syncthreads() { emulation::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulation::warp_barrier(mask); }
inline void __threadfence() {}

template <typename T> T __shfl_sync(unsigned mask, T value, int source) {
  return emulation::shuffle(mask, value, (unsigned)source % 32);
}
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return emulation::shuffle(mask, value, emulation::lane() ^ (unsigned)bits);
}
template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  unsigned source = emulation::lane() + by;
  return emulation::shuffle(mask, value, source < 32 ? source : emulation::lane());
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; i++)
    votes |= (mask >> i & 1 && emulation::shuffle(mask, predicate != 0, i)) ? 1u << i : 0;
  return votes;
}

template <typename T> T atomicAdd(T *at, T value) {
  T before = *at;
  *at = before + value;
  return before;
}
template <typename T> T atomicMax(T *at, T value) {
  T before = *at;
  if (value > before) *at = value;
  return before;
}

inline float __int_as_float(int bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float((int)bits); }
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
template <typename T> const T &__ldg(const T *at) { return *at; }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  void *attrs;
  unsigned numAttrs;
};

/* Arguments are copied now, as CUDA does, so a recorded launch repeats them. */
template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               Arguments &&...arguments) {
  std::tuple<std::decay_t<Parameters>...> copied(static_cast<Arguments &&>(arguments)...);
  return emulation::launch(config->gridDim, config->blockDim, config->dynamicSmemBytes, config->stream,
                           [kernel, copied] { std::apply(kernel, copied); });
}

#endif
