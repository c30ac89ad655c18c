/* Division by a number that a launch fixes, of numbers below 2^31: a multiplication and a shift, where a GPU, which cannot
 * divide integers, takes some twenty instructions (and some hundred for 64 bits). For kernels that find their place in a
 * tensor. [Granlund, Montgomery 1994: Division by invariant integers using multiplication] */
#ifndef NN_CUDA_DIVISOR_H
#define NN_CUDA_DIVISOR_H

#include <stdint.h>

#include "nn/inline.h"

enum { DIVISOR_BITS = 31 };

struct divisor {
  uint32_t by, factor, shift;
};

/* 0 < by < 2^31 */
static inline struct divisor divisor_of(int64_t by) {
  struct divisor d = {(uint32_t)by, 0, 0};
  while (((int64_t)1 << d.shift) < by) d.shift++;
  d.factor = (uint32_t)((((uint64_t)1 << d.shift) - (uint64_t)by) * ((uint64_t)1 << 32) / (uint64_t)by + 1);
  return d;
}

NN_INLINE uint32_t quotient(uint32_t n, struct divisor d) {
  return ((uint32_t)((uint64_t)n * d.factor >> 32) + n) >> d.shift;
}

NN_INLINE uint32_t remainder_of(uint32_t n, struct divisor d) { return n - quotient(n, d) * d.by; }

#endif
