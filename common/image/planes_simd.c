#include <endian.h>
#include <string.h>

#include "image/planes.h"
#include "image/simd.h"

PIXEL_LOOP(void, planes_from_rgb8, (const struct planes *out, const uint8_t *pixels, size_t stride),
           (out, pixels, stride)) {
  for (int32_t y = 0; y < out->height; y++) {
    const uint8_t *in = pixels + (size_t)y * stride;
    size_t at = (size_t)y * (size_t)out->width;
    float *r = out->plane[0] + at, *g = out->plane[1] + at, *b = out->plane[2] + at;
    for (int32_t x = 0; x < out->width; x++) {
      r[x] = (float)in[3 * x] / 255.0F;
      g[x] = (float)in[3 * x + 1] / 255.0F;
      b[x] = (float)in[3 * x + 2] / 255.0F;
    }
  }
}

/* Adding 2^23 leaves no fraction bits: the sum is rounded to an integer, half to even, which its low byte
 * holds. */
static inline uint32_t to_byte(float x) {
  x = x > 0.0F ? x : 0.0F;
  x = x < 1.0F ? x : 1.0F;
  return (uint32_t)(int32_t)((x * 255.0F + 0x1p23F) - 0x1p23F);
}

/* Pixels are made as 32-bit words and stored overlapping, each over its predecessor's spare byte. */
PIXEL_LOOP(void, planes_to_rgb8, (const struct planes *in, uint8_t *pixels), (in, pixels)) {
  enum { BLOCK = 256 };
  size_t n = (size_t)in->width * (size_t)in->height;
  const float *r = in->plane[0], *g = in->plane[1], *b = in->plane[2];
  uint32_t word[BLOCK];
  for (size_t start = 0; start < n; start += BLOCK) {
    size_t count = n - start < BLOCK ? n - start : BLOCK;
    for (size_t i = 0; i < count; i++)
      word[i] = to_byte(r[start + i]) | to_byte(g[start + i]) << 8 | to_byte(b[start + i]) << 16;
    for (size_t i = 0; i + 1 < count; i++, pixels += 3) {
      uint32_t w = htole32(word[i]);
      memcpy(pixels, &w, sizeof w);
    }
    for (int shift = 0; shift < 24; shift += 8) *pixels++ = (uint8_t)(word[count - 1] >> shift);
  }
}

PIXEL_LOOP(void, planes_hflip, (const struct planes *image), (image)) {
  int32_t width = image->width;
  for (int c = 0; c < 3; c++) {
    for (int32_t y = 0; y < image->height; y++) {
      float *row = image->plane[c] + (size_t)y * (size_t)width;
      for (int32_t x = 0; x < width / 2; x++) {
        float left = row[x];
        row[x] = row[width - 1 - x];
        row[width - 1 - x] = left;
      }
    }
  }
}
