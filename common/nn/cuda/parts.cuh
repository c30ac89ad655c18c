/* For one launch over many runs of memory: which of them a number lies in. */
#ifndef NN_CUDA_PARTS_CUH
#define NN_CUDA_PARTS_CUH

#include <cuda_runtime.h>

#include <stdint.h>

/* The part of n >= 1 with first[part] <= i < first[part + 1]; first [n + 1] ascends from 0, and i < first[n]. Neighbouring
 * threads ask the same of the cache, so the few steps cost little. */
static __device__ __forceinline__ int part_of(const int64_t *first, int n, int64_t i) {
  int low = 0, high = n; /* first[low] <= i < first[high] */
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (first[middle] <= i) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

#endif
