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

#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

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

/* Vectors. `floats` is as wide as the instruction set has them; arithmetic and comparisons are C's operators,
 * element by element the same as on scalars. Types wider than `floats` must not be passed by value. */
#if defined(__AVX2__)
#define LANES 8
#elif defined(__SSE4_2__) || defined(__ARM_NEON)
#define LANES 4
#else
#define LANES 1
#endif

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float floats4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef double doubles4 __attribute__((vector_size(32), aligned(8), may_alias));

static inline floats floats_at(const float *p) { return *(const floats *)p; }
static inline void floats_to(float *p, floats x) { *(floats *)p = x; }
static inline floats floats_all(float x) { return x - (floats){0}; }

/* LANES bytes as whole numbers. */
static inline ints ints_at_bytes(const uint8_t *p) {
#if defined(__AVX2__)
  return (ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#elif defined(__SSE4_2__)
  int four;
  memcpy(&four, p, sizeof four);
  return (ints)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
#else
  ints v = {0};
  for (int i = 0; i < LANES; i++) v[i] = p[i];
  return v;
#endif
}

/* mask ? a : b; a mask is what a comparison gives. */
static inline floats floats_choose(ints mask, floats a, floats b) {
#if defined(__AVX2__)
  return (floats)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
#elif defined(__SSE4_2__)
  return (floats)_mm_blendv_ps((__m128)b, (__m128)a, (__m128)mask);
#else
  return (floats)((mask & (ints)a) | (~mask & (ints)b));
#endif
}

/* a > b ? a : b, and a < b ? a : b: of equals, and beside a NaN, the second. */
static inline floats floats_max(floats a, floats b) {
#if defined(__AVX2__)
  return (floats)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE4_2__)
  return (floats)_mm_max_ps((__m128)a, (__m128)b);
#else
  return floats_choose(a > b, a, b);
#endif
}

static inline floats floats_min(floats a, floats b) {
#if defined(__AVX2__)
  return (floats)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE4_2__)
  return (floats)_mm_min_ps((__m128)a, (__m128)b);
#else
  return floats_choose(a < b, a, b);
#endif
}

static inline floats floats_clamp01(floats x) {
  return floats_min(floats_max(x, floats_all(0.0F)), floats_all(1.0F));
}

#endif
