/* Sixteen floats at a time, in plain C: two vectors of eight, which the compiler turns into AVX, AVX-512 or
 * SSE in the versions that CPU_CLONES makes of a function. For loop files (*_loops.c, *_cpu.c) only. */
#ifndef NN_WIDE_H
#define NN_WIDE_H

#include <stdint.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wpsabi" /* every function here is inlined */

#define WIDE_INLINE static inline __attribute__((always_inline))

typedef float wide_half __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t wide_bits __attribute__((vector_size(32)));

struct wide {
  wide_half lo, hi;
};

WIDE_INLINE struct wide wide_load(const float *p) {
  return (struct wide){*(const wide_half *)p, *(const wide_half *)(p + 8)};
}
WIDE_INLINE void wide_store(float *p, struct wide w) {
  *(wide_half *)p = w.lo;
  *(wide_half *)(p + 8) = w.hi;
}
WIDE_INLINE struct wide wide_add(struct wide a, struct wide b) {
  return (struct wide){a.lo + b.lo, a.hi + b.hi};
}
WIDE_INLINE struct wide wide_sub(struct wide a, struct wide b) {
  return (struct wide){a.lo - b.lo, a.hi - b.hi};
}
WIDE_INLINE struct wide wide_mul(struct wide a, struct wide b) {
  return (struct wide){a.lo * b.lo, a.hi * b.hi};
}

/* x where not y <= 0, else 0: ReLU and its derivative, letting NaN through. */
WIDE_INLINE struct wide wide_where_positive(struct wide x, struct wide y) {
  return (struct wide){(wide_half)((wide_bits)x.lo & ~(y.lo <= 0)),
                       (wide_half)((wide_bits)x.hi & ~(y.hi <= 0))};
}

#endif
