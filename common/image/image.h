/* Images in memory, and JPEG and PNG in and out. Pure functions; no global state; thread-safe. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Larger images are refused before anything is allocated. */
#define IMAGE_MAX_PIXELS ((int64_t)1 << 28)
#define IMAGE_MAX_SIDE   65535 /* what a JPEG can have, and a message can say */

/* 8-bit RGB, [height, width, 3], rows packed. `pixels` is owned by whoever filled the struct: image_free. */
struct image {
  int32_t width, height;
  uint8_t *pixels;
};

void image_free(struct image *image); /* accepts an empty image; leaves it empty */

enum image_kind {
  IMAGE_UNKNOWN,
  IMAGE_JPEG,
  IMAGE_PNG,
  IMAGE_OTHER /* known but unsupported: GIF, WebP, ... */
};

/* By content, never by name. */
enum image_kind image_sniff(const uint8_t *bytes, size_t size);

struct image_header {
  int32_t width, height, components;
};

/* Reads a JPEG's size without decoding it. E_FORMAT. */
enum status jpeg_header(const uint8_t *bytes, size_t size, struct image_header *header);

/* Decodes a JPEG to RGB: accurate integer DCT, fancy upsampling, any colour space (grey, YCbCr, RGB, CMYK,
 * YCCK). Truncated or corrupt data is E_FORMAT, never a grey rest: libjpeg's warnings count as errors. The
 * same bytes give the same pixels on every CPU. CMYK is read by Adobe's convention; EXIF orientation is not
 * applied (both as Pillow and torchvision do). *out is overwritten; the caller frees it. */
enum status jpeg_decode(const uint8_t *bytes, size_t size, struct image *out);

/* Quality 1..100, 4:2:0 chroma. *out is malloc'ed. */
enum status jpeg_encode(const struct image *image, int quality, uint8_t **out, size_t *size);

/* Any PNG (palette, grey, 16-bit, alpha over white, interlaced) to RGB; no gamma applied. E_FORMAT. */
enum status png_decode(const uint8_t *bytes, size_t size, struct image *out);

/* *out is malloc'ed. */
enum status png_encode(const struct image *image, uint8_t **out, size_t *size);
enum status png_write(const char *path, const struct image *image); /* atomically; also E_IO */

/* JPEG or PNG by content; each decoder's rules as above. E_FORMAT says what the bytes are instead and what to
 * do. */
enum status image_decode(const uint8_t *bytes, size_t size, struct image *out);

#endif
