/* Pixel loops compiled for several instruction sets, the best of which is chosen at start.
 *
 * That cannot change a result: without -ffast-math, and with -ffp-contract=off, every variant performs the
 * same IEEE operations in the same order. The sanitizers' start-up does not get along with run-time
 * selection, so there, and under clang (fuzzing), the baseline variant runs alone - which also tests it
 * against the same numbers. */
#ifndef IMAGE_SIMD_H
#define IMAGE_SIMD_H

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&                          \
    !defined(__SANITIZE_THREAD__)
#define PIXEL_LOOP __attribute__((target_clones("avx2", "default")))
#else
#define PIXEL_LOOP
#endif

/* Neighbours in memory as one value, for loops that the compiler does not find by itself.
 * Element by element the same arithmetic as scalars; a type narrower than its name on CPUs without such
 * registers. Those of 32 bytes are never passed by value: how depends on the CPU. */
typedef float floats8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float floats4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef double doubles4 __attribute__((vector_size(32), aligned(8), may_alias));

#endif
