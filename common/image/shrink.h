/* Images at 1/2, 1/4 or 1/8 of their size: pixel (x, y) stands for the pixels [xk, xk + k) x [yk, yk + k) of
 * the original, or as many of them as there are; the sides are rounded up. JPEGs are decoded so (jpeg.h). */
#ifndef IMAGE_SHRINK_H
#define IMAGE_SHRINK_H

#include "image/planes.h"

/* The pixels of the shrunken image that a rectangle of the original touches. */
static inline struct rect shrink_rect(struct rect r, int32_t k) {
  int32_t left = r.left / k, top = r.top / k;
  return (struct rect){left, top, (r.left + r.width + k - 1) / k - left,
                       (r.top + r.height + k - 1) / k - top};
}

/* The part `region` of the shrunken image as averages. pixels [whole.height, whole.width, 3]; out
 * [region.height, region.width, 3], overwritten. */
void shrink_rgb8(const uint8_t *pixels, struct extent whole, int32_t k, struct rect region, uint8_t *out);

#endif
