/* Parts of a JPEG, decoded for no more than they cost.
 *
 * The pixels of a part are byte for byte those that jpeg_decode (image.h) gives there: rows and columns that
 * are not wanted are left out of the inverse DCT, upsampling and colour conversion, and rows below the part
 * are not even read; the two pixels around the part that chroma upsampling looks at are decoded with it.
 * Truncated or corrupt data is an error where the part depends on it; behind that nobody looks.
 *
 * A decoder keeps its buffers and the tables made for Huffman decoding from image to image, and nothing that
 * could change a pixel of the next. One per thread. */
#ifndef IMAGE_JPEG_H
#define IMAGE_JPEG_H

#include "image/planes.h"

struct jpeg_decoder;

enum status jpeg_decoder_open(struct jpeg_decoder **out); /* E_MEMORY */
void jpeg_decoder_close(struct jpeg_decoder **decoder);   /* accepts NULL; nulls */

struct jpeg_file {
  const uint8_t *bytes; /* a JPEG file; borrowed */
  size_t size;
  struct extent whole; /* what its header must say, in pixels */
  /* Where the data of every restart interval begins in `bytes`, 32 bits each, little-endian (jpeg_recode.h):
   * intervals that are not wanted are not read at all. NULL: not known. */
  const uint8_t *restarts;
  size_t n_restarts;
  int32_t shrink; /* 2, 4 or 8: the inverse DCT makes an image of that fraction (shrink.h), whose pixels the
                     part is counted in, and which is not quite what one gets from the whole; 0 or 1: not */
};

/* Decodes the part `region`, which lies inside the image. out [region.height, region.width, 3] RGB,
 * overwritten. E_FORMAT (corrupt, of another size than `whole`, or with an index that is not its own), E_MEMORY. */
enum status jpeg_decode_region(struct jpeg_decoder *decoder, const struct jpeg_file *file, struct rect region,
                               uint8_t *out);

#endif
