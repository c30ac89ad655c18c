#include "image/augmix_simd.h"

#include "image/simd.h"

/* Half to even, as planes_to_rgb8 rounds. */
static inline uint32_t level(float x) {
  x = x > 0.0F ? x : 0.0F;
  x = x < 1.0F ? x : 1.0F;
  return (uint32_t)(int32_t)((x * 255.0F + 0x1p23F) - 0x1p23F);
}

PIXEL_LOOP(void, augmix_quantise, (const float *const rgb[3], size_t n, uint32_t *words), (rgb, n, words)) {
  const float *r = rgb[0], *g = rgb[1], *b = rgb[2];
  for (size_t i = 0; i < n; i++) words[i] = level(r[i]) | level(g[i]) << 8 | level(b[i]) << 16;
}

PIXEL_LOOP(void, augmix_lookup, (const uint32_t *in, size_t n, const struct lut lut[3], uint32_t *out),
           (in, n, lut, out)) {
  for (size_t i = 0; i < n; i++) {
    uint32_t w = in[i];
    out[i] = lut[0].at[w & 255] | (uint32_t)lut[1].at[w >> 8 & 255] << 8 |
             (uint32_t)lut[2].at[w >> 16 & 255] << 16;
  }
}

PIXEL_LOOP(void, augmix_add, (float *const rgb[3], float keep, const uint32_t *words, float weight, size_t n),
           (rgb, keep, words, weight, n)) {
  for (int c = 0; c < 3; c++) {
    float *x = rgb[c];
    int shift = 8 * c;
    for (size_t i = 0; i < n; i++) {
      float sum = keep * x[i] + weight * (float)(int32_t)(words[i] >> shift & 255);
      x[i] = sum < 1.0F ? sum : 1.0F;
    }
  }
}
