/* Re-coding JPEGs without touching their pixels, so that parts of them can be decoded without the rest.
 *
 * The same coefficients are written again: one baseline scan, Huffman codes made for the image, a restart
 * marker every 64 pixels of a row of blocks, no metadata. The place of every restart interval goes into an
 * index, with which a decoder (jpeg.h) begins at any of them. Progressive and arithmetically coded files
 * become baseline and decode several times faster. */
#ifndef IMAGE_JPEG_RECODE_H
#define IMAGE_JPEG_RECODE_H

#include "image/image.h"

struct jpeg_recoded {
  uint8_t *bytes; /* the file; NULL: it is better kept as it was */
  size_t size;
  uint8_t *restarts; /* where every interval's data begins in it, 32 bits each, little-endian */
  size_t n_restarts;
};

/* Re-codes a file whose pixels are `image`, and decodes the result in both of our ways to make sure that it
 * has the same. `out` is left empty where that cannot be: odd sampling factors, say. E_MEMORY, E_FORMAT (not a JPEG). Freed by jpeg_recoded_free. */
enum status jpeg_recode(const uint8_t *bytes, size_t size, const struct image *image,
                        struct jpeg_recoded *out);
void jpeg_recoded_free(struct jpeg_recoded *recoded); /* accepts an empty one; leaves it empty */

#endif
