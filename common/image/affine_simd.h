/* The loops of affine.c. */
#ifndef IMAGE_AFFINE_SIMD_H
#define IMAGE_AFFINE_SIMD_H

#include "image/affine.h"

/* Where a row of the output lies in the input: pixel i at (x + i dx, y + i dy), with 32 fraction bits. */
struct affine_row {
  int64_t x, y, dx, dy;
};

/* A row of `out` pixels. */
void affine_row_words(const struct words *in, const struct affine_row *row, uint32_t *out);
void affine_row_plane(const float *in, struct extent size, const struct affine_row *row, float *out);

#endif
