/* Pixel loops: described once, compiled for several instruction sets, chosen at run time (image/isa.h).
 *
 * A file NAME_simd.c holds loops and what they call; each function that other files use is defined with
 *
 *     PIXEL_LOOP(void, color_gray, (const struct planes *image), (image)) { ... }
 *
 * - result, name, parameters, the same as arguments - and declared in a header like any other. Other functions
 * of such a file are static. Every version gives the same bytes: no -ffast-math, -ffp-contract=off, and where
 * a sum's order could depend on the width of a vector (reductions), the order is written out. */
#ifndef IMAGE_SIMD_H
#define IMAGE_SIMD_H

#include "image/isa.h"

#ifndef ISA /* given by the Makefile */
#define ISA scalar
#define ISA_DISPATCHES
#endif

#define SIMD_JOIN_(name, isa) name##_##isa
#define SIMD_JOIN(name, isa)  SIMD_JOIN_(name, isa)

#ifdef __x86_64__
#define SIMD_OTHERS(result, name, params)                                                                    \
  result name##_sse4 params;                                                                                 \
  result name##_avx2 params;
#define SIMD_BRANCHES(name, args)                                                                            \
  if (isa_chosen() == ISA_AVX2) return name##_avx2 args;                                                     \
  if (isa_chosen() == ISA_SSE4) return name##_sse4 args;
#elif defined(__aarch64__)
#define SIMD_OTHERS(result, name, params) result name##_neon params;
#define SIMD_BRANCHES(name, args)                                                                            \
  if (isa_chosen() == ISA_NEON) return name##_neon args;
#else
#define SIMD_OTHERS(result, name, params)
#define SIMD_BRANCHES(name, args)
#endif

#ifdef ISA_DISPATCHES /* one of the versions brings along the function that chooses */
#define PIXEL_LOOP(result, name, params, args)                                                               \
  result name##_scalar params;                                                                               \
  SIMD_OTHERS(result, name, params)                                                                          \
  result name params {                                                                                       \
    SIMD_BRANCHES(name, args)                                                                                \
    return name##_scalar args;                                                                               \
  }                                                                                                          \
  result name##_scalar params
#else
#define PIXEL_LOOP(result, name, params, args)                                                               \
  result SIMD_JOIN(name, ISA) params;                                                                        \
  result SIMD_JOIN(name, ISA) params
#endif

/* Neighbours in memory as one value, for loops that the compiler does not find by itself.
 * Element by element the same arithmetic as scalars; a type narrower than its name on CPUs without such
 * registers. Those of 32 bytes are never passed by value: how depends on the CPU. */
typedef float floats8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float floats4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef double doubles4 __attribute__((vector_size(32), aligned(8), may_alias));

#endif
