/* Float images as three planes, the form in which pixels are worked on, and memory that is reused between
 * images.
 *
 * Values are in [0,1], row-major, no gaps between rows. The planes of one image belong to a struct workspace,
 * which grows to the largest image seen and is then never allocated again. Pure functions; one workspace per
 * thread. */
#ifndef IMAGE_PLANES_H
#define IMAGE_PLANES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct extent {
  int32_t width, height;
};

struct rect { /* pixels; x right, y down */
  int32_t left, top, width, height;
};

struct planes {
  int32_t width, height;
  float *plane[3]; /* R, G, B: [height, width] */
};

struct scratch {
  void *data;
  size_t size;
};

struct workspace {
  struct scratch planes[2]; /* an operation that cannot work in place reads one and writes the other */
  int current;              /* the one that holds the image */
  struct scratch rows, weights, bytes;
};

/* At least `size` bytes, aligned to 64; what was there before is lost when it grows. E_MEMORY. */
enum status scratch_reserve(struct scratch *scratch, size_t size);

void workspace_free(struct workspace *work); /* accepts a zeroed struct; leaves it empty */

/* Planes for a new image of the given size in the half that does not hold the current one. Contents
 * undefined. The current image stays readable until workspace_flip makes the new one current. E_MEMORY. */
enum status workspace_planes(struct workspace *work, int32_t width, int32_t height, struct planes *out);
void workspace_flip(struct workspace *work);

/* v/255 of packed RGB with `stride` bytes from row to row, and back: round(255 x), half to even, after
 * clamping. */
void planes_from_rgb8(const struct planes *out, const uint8_t *pixels, size_t stride);
void planes_to_rgb8(const struct planes *in, uint8_t *pixels);

/* Mirrors x, in place. */
void planes_hflip(const struct planes *image);

#endif
