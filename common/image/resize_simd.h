/* The loops of resize.c. */
#ifndef IMAGE_RESIZE_SIMD_H
#define IMAGE_RESIZE_SIMD_H

#include "image/planes.h"

/* The weights of a window along one axis, every output with the same number of taps: shorter ones are filled
 * up with zeros, which add nothing to a sum. Positions count from the first needed input pixel. */
struct resize_axis {
  int32_t taps;
  int32_t *first; /* [count] */
  float *weight;  /* [count, taps] */
};

/* Room for the weights of the x axis as vectors take them, in floats. */
static inline size_t resize_wide_floats(int32_t width, int32_t taps) {
  return 4 * (size_t)width * (size_t)taps;
}

/* A window of the output from packed 8-bit RGB, `n` values of each row, rows `stride` bytes apart. axes: x, y.
 * room: resize_wide_floats and n + 4 floats. */
void resize_bytes(const struct planes *out, const uint8_t *pixels, size_t stride, size_t n,
                  const struct resize_axis axes[2], float *room);

/* The same from the part `part` of float planes, clamped to [0,1]. room: resize_wide_floats and
 * 3 part.width (part.height + 1) + 4 floats. */
void resize_floats(const struct planes *out, const struct planes *in, struct rect part,
                   const struct resize_axis axes[2], float *room);

#endif
