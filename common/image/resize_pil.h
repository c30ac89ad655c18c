/* PIL's 8-bit resampling, bit for bit: 22-bit integer weights, the horizontal pass first, each pass rounded
 * and clipped to 8 bits. Used by resize_rgb8; not for float planes. */
#ifndef IMAGE_RESIZE_PIL_H
#define IMAGE_RESIZE_PIL_H

#include "image/resize.h"

/* As resize_rgb8, `pixels` pointing at the first pixel of resize_needs, rows `stride` bytes apart. */
enum status resize_pil(struct workspace *work, const struct resize *job, const uint8_t *pixels, size_t stride,
                       struct planes *out);

#endif
