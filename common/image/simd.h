/* Pixel loops compiled for several instruction sets, the best of which is chosen at start.
 *
 * That cannot change a result: without -ffast-math, and with -ffp-contract=off, every variant performs the
 * same IEEE operations in the same order. The sanitizers' start-up does not get along with run-time
 * selection, so there the baseline variant runs alone - which also tests it against the same numbers. */
#ifndef IMAGE_SIMD_H
#define IMAGE_SIMD_H

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PIXEL_LOOP __attribute__((target_clones("avx2", "default")))
#else
#define PIXEL_LOOP
#endif

#endif
