/* Sizes of resizing by the shorter side, and of the centre crop, as torchvision computes them. */
#ifndef TRANSFORM_SHORT_SIDE_H
#define TRANSFORM_SHORT_SIDE_H

#include <stdbool.h>

#include "image/planes.h"

/* shorter side -> size, longer -> trunc(size * longer / shorter). */
static inline struct extent short_side_extent(struct extent in, int32_t size) {
  if (in.width <= in.height) return (struct extent){size, (int32_t)((int64_t)size * in.height / in.width)};
  return (struct extent){(int32_t)((int64_t)size * in.width / in.height), size};
}

/* round((length - size) / 2), half to even; length >= size. */
static inline int32_t short_side_offset(int32_t length, int32_t size) {
  int32_t twice = length - size, half = twice / 2;
  return half + (twice % 2 && half % 2);
}

#endif
