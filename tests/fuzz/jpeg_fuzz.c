#include "fuzz.h"
#include "image/image.h"

enum { MAX_PIXELS = 1 << 20 /* a few bytes may ask for 2^28: allowed, but slow */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct image_header header;
  struct image image;
  image_sniff(data, size);
  if (jpeg_header(data, size, &header) != OK || (int64_t)header.width * header.height > MAX_PIXELS) return 0;
  if (jpeg_decode(data, size, &image) == OK && (image.width != header.width || image.height != header.height))
    __builtin_trap();
  image_free(&image);
  return 0;
}
