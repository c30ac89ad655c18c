#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "fuzz.h"
#include "image/image.h"
#include "image/jpeg.h"

enum { MAX_PIXELS = 1 << 16 /* a few bytes may ask for 2^28: allowed, but slow */ };

/* Some part of the image, decided by the bytes. */
static struct rect choose(const uint8_t *data, size_t size, int32_t width, int32_t height) {
  uint64_t h = XXH3_64bits(data, size);
  struct rect r = {.left = (int32_t)((h & 0xffff) % (uint64_t)width),
                   .top = (int32_t)((h >> 16 & 0xffff) % (uint64_t)height)};
  r.width = 1 + (int32_t)((h >> 32 & 0xffff) % (uint64_t)(width - r.left));
  r.height = 1 + (int32_t)((h >> 48) % (uint64_t)(height - r.top));
  return r;
}

/* Where the whole can be decoded, a part can be, to the same pixels. */
static void decode_part(const uint8_t *data, size_t size, struct image_header header,
                        const struct image *whole) {
  struct jpeg_decoder *d;
  const struct jpeg_file file = {data, size, {header.width, header.height}};
  struct rect r = choose(data, size, header.width, header.height);
  size_t row = 3 * (size_t)r.width;
  uint8_t *part = malloc(row * (size_t)r.height);
  if (!part || jpeg_decoder_open(&d) != OK) abort();
  enum status st = jpeg_decode_region(d, &file, r, part);
  if (whole->pixels && st != OK) __builtin_trap();
  for (int32_t y = 0; whole->pixels && y < r.height; y++)
    if (memcmp(part + (size_t)y * row,
               whole->pixels + 3 * ((size_t)(r.top + y) * (size_t)whole->width + (size_t)r.left), row) != 0)
      __builtin_trap();
  jpeg_decoder_close(&d);
  free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct image_header header;
  struct image image;
  image_sniff(data, size);
  if (jpeg_header(data, size, &header) != OK || (int64_t)header.width * header.height > MAX_PIXELS) return 0;
  if (jpeg_decode(data, size, &image) == OK && (image.width != header.width || image.height != header.height))
    __builtin_trap();
  decode_part(data, size, header, &image);
  image_free(&image);
  return 0;
}
