#include "image/shrink.h"

static void average(const uint8_t *pixels, size_t stride, int32_t width, int32_t height, uint8_t *out) {
  uint32_t sum[3] = {0}, n = (uint32_t)(width * height);
  for (int32_t y = 0; y < height; y++, pixels += stride)
    for (int32_t i = 0; i < 3 * width; i++) sum[i % 3] += pixels[i];
  for (int c = 0; c < 3; c++) out[c] = (uint8_t)((sum[c] + n / 2) / n);
}

void shrink_rgb8(const uint8_t *pixels, struct extent whole, int32_t k, struct rect region, uint8_t *out) {
  size_t stride = 3 * (size_t)whole.width;
  for (int32_t y = region.top; y < region.top + region.height; y++)
    for (int32_t x = region.left; x < region.left + region.width; x++, out += 3) {
      int32_t left = x * k, top = y * k;
      int32_t width = whole.width - left < k ? whole.width - left : k,
              height = whole.height - top < k ? whole.height - top : k;
      average(pixels + (size_t)top * stride + 3 * (size_t)left, stride, width, height, out);
    }
}
