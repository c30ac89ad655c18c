/* The loops of blur.c. */
#ifndef IMAGE_BLUR_SIMD_H
#define IMAGE_BLUR_SIMD_H

#include "image/planes.h"

/* One plane [height, width], rows and then columns. w[i]: weight of the neighbours at distance i <= radius.
 * scratch: room for a plane and width + 2 radius more. */
void blur_plane(const float *in, float *out, struct extent size, const float *w, int32_t radius,
                float *scratch);

#endif
