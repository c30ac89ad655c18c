#include "fuzz.h"
#include "image/image.h"

enum { MAX_PIXELS = 1 << 20 /* a few bytes may ask for 2^28: allowed, but slow */ };

/* The size stands at a fixed place in the first chunk. */
static uint64_t side(const uint8_t *at) {
  return (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct image image;
  if (size >= 24 && side(data + 16) * side(data + 20) > MAX_PIXELS) return 0;
  png_decode(data, size, &image);
  image_free(&image);
  return image_decode(data, size < 8 ? size : 8, &image) == OK; /* eight bytes are never an image */
}
