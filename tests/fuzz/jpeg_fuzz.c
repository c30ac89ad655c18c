#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "fuzz.h"
#include "image/image.h"
#include "image/jpeg.h"
#include "image/jpeg_recode.h"
#include "image/shrink.h"

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

static void expect_part(const struct image *whole, struct rect r, const uint8_t *part) {
  size_t row = 3 * (size_t)r.width;
  for (int32_t y = 0; y < r.height; y++)
    if (memcmp(part + (size_t)y * row,
               whole->pixels + 3 * ((size_t)(r.top + y) * (size_t)whole->width + (size_t)r.left), row) != 0)
      __builtin_trap();
}

/* What can be decoded can be re-coded, and parts of that have the same pixels; with a wrong place in the index
 * they have some pixels or are an error. */
static void decode_recoded(struct jpeg_decoder *d, const uint8_t *data, size_t size, struct rect r,
                           uint8_t *part, const struct image *whole) {
  struct jpeg_recoded re;
  if (jpeg_recode(data, size, whole, &re) != OK) __builtin_trap();
  if (!re.bytes) return;
  const struct jpeg_file file = {
      re.bytes, re.size, {whole->width, whole->height}, re.restarts, re.n_restarts};
  if (jpeg_decode_region(d, &file, r, part) != OK) __builtin_trap();
  expect_part(whole, r, part);
  uint64_t h = XXH3_64bits_withSeed(data, size, 1);
  memcpy(re.restarts + 4 * (h % re.n_restarts), (uint8_t *)&h + 4, 4);
  jpeg_decode_region(d, &file, r, part);
  jpeg_recoded_free(&re);
}

/* Where the whole can be decoded, a part can be, to the same pixels. */
static void decode_part(struct jpeg_decoder *d, const struct jpeg_file *file, const struct image *whole) {
  struct rect r = choose(file->bytes, file->size, whole->width, whole->height);
  uint8_t *part = malloc(3 * (size_t)r.width * (size_t)r.height);
  if (!part) abort();
  enum status st = jpeg_decode_region(d, file, r, part);
  if (whole->pixels) {
    if (st != OK) __builtin_trap();
    expect_part(whole, r, part);
    if (!file->shrink) decode_recoded(d, file->bytes, file->size, r, part, whole);
  }
  free(part);
}

/* The same at 1/2, 1/4 and 1/8: what can be decoded at all can be at each of them. */
static void decode_shrunken(struct jpeg_decoder *d, struct jpeg_file file, const struct image *whole) {
  for (file.shrink = 2; file.shrink <= 8; file.shrink *= 2) {
    const struct rect all =
        shrink_rect((struct rect){0, 0, file.whole.width, file.whole.height}, file.shrink);
    struct image small = {all.width, all.height, malloc(3 * (size_t)all.width * (size_t)all.height)};
    if (!small.pixels) abort();
    if (jpeg_decode_region(d, &file, all, small.pixels) != OK) {
      if (whole->pixels) __builtin_trap();
      free(small.pixels);
      small.pixels = NULL;
    }
    decode_part(d, &file, &small);
    image_free(&small);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct image_header header;
  struct image image;
  struct jpeg_decoder *d;
  image_sniff(data, size);
  if (jpeg_header(data, size, &header) != OK || (int64_t)header.width * header.height > MAX_PIXELS) return 0;
  if (jpeg_decode(data, size, &image) == OK && (image.width != header.width || image.height != header.height))
    __builtin_trap();
  const struct jpeg_file file = {.bytes = data, .size = size, .whole = {header.width, header.height}};
  if (jpeg_decoder_open(&d) != OK) abort();
  const struct image whole = {header.width, header.height, image.pixels};
  decode_part(d, &file, &whole);
  decode_shrunken(d, file, &whole);
  jpeg_decoder_close(&d);
  image_free(&image);
  return 0;
}
