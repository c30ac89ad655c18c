/* Allocations, and CUDA's statuses: what a user reads when the GPU has too little memory or gives up. */
#include "nn/cuda/cuda.h"

enum status cuda_check(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return OK;
  if (error == cudaErrorMemoryAllocation)
    return fail(E_MEMORY,
                "cuda: %s: the GPU is out of memory; use a smaller --batch, or a GPU that nothing else uses",
                what);
  return fail(E_DEVICE, "cuda: %s: %s", what, cudaGetErrorString(error));
}

/* In MiB, of which a part counts as one. */
static size_t mib(size_t bytes) { return (bytes + ((size_t)1 << 20) - 1) >> 20; }

enum status cuda_malloc_or(void **memory, size_t bytes, const char *what, const char *advice) {
  size_t free_bytes = 0, total_bytes = 0;
  cudaError_t error = cudaMalloc(memory, bytes);
  if (error != cudaErrorMemoryAllocation) return cuda_check(error, "allocation");
  cudaGetLastError();
  cudaMemGetInfo(&free_bytes, &total_bytes);
  return fail(E_MEMORY, "cuda: %zu MiB are needed in one piece for %s, %zu of the GPU's %zu MiB are free; %s",
              mib(bytes), what, free_bytes >> 20, total_bytes >> 20, advice);
}

enum status cuda_malloc(void **memory, size_t bytes, const char *what) {
  return cuda_malloc_or(memory, bytes, what, "use a smaller --batch or --width");
}

enum status cuda_malloc_host_or(void **memory, size_t bytes, const char *what, const char *advice) {
  cudaError_t error = cudaMallocHost(memory, bytes);
  if (error != cudaErrorMemoryAllocation) return cuda_check(error, "allocation of pinned memory");
  cudaGetLastError();
  return fail(
      E_MEMORY,
      "cuda: %zu MiB of the host's memory are needed for %s, pinned in one piece, and cannot be had; free "
      "some; %s",
      mib(bytes), what, advice);
}

enum status cuda_malloc_host(void **memory, size_t bytes, const char *what) {
  return cuda_malloc_host_or(memory, bytes, what, "or use a smaller --batch");
}
