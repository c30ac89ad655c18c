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

/* round(255 x), half to even, after clamping. Where there is no instruction for it: adding 2^23 leaves no
 * fraction bits, so the sum is rounded to an integer. */
static inline ints to_bytes(floats x) {
  x = floats_clamp01(x) * 255.0F;
#if defined(__AVX2__)
  return (ints)_mm256_cvtps_epi32((__m256)x);
#elif defined(__SSE4_2__)
  return (ints)_mm_cvtps_epi32((__m128)x);
#else
  return __builtin_convertvector((x + 0x1p23F) - 0x1p23F, ints);
#endif
}

/* LANES pixels, each in the low three bytes of a word, to 3 LANES bytes. */
static inline void store_packed(uint8_t *out, ints word) {
#if defined(__AVX2__)
  const __m256i drop = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5,
                                        6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
  __m256i packed = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8((__m256i)word, drop), join);
  _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(packed));
  _mm_storel_epi64((__m128i *)(void *)(out + 16), _mm256_extracti128_si256(packed, 1));
#elif defined(__SSE4_2__)
  const __m128i drop = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  __m128i packed = _mm_shuffle_epi8((__m128i)word, drop);
  _mm_storel_epi64((__m128i *)(void *)out, packed);
  int last = _mm_extract_epi32(packed, 2);
  memcpy(out + 8, &last, sizeof last);
#else
  for (int i = 0; i < LANES; i++, out += 3) {
    out[0] = (uint8_t)word[i];
    out[1] = (uint8_t)(word[i] >> 8);
    out[2] = (uint8_t)(word[i] >> 16);
  }
#endif
}

static inline ints packed_words(floats r, floats g, floats b) {
  return to_bytes(r) | to_bytes(g) << 8 | to_bytes(b) << 16;
}

PIXEL_LOOP(void, planes_to_rgb8, (const struct planes *in, uint8_t *pixels), (in, pixels)) {
  const float *r = in->plane[0], *g = in->plane[1], *b = in->plane[2];
  size_t n = (size_t)in->width * (size_t)in->height, i = 0;
  for (; i + LANES <= n; i += LANES)
    store_packed(pixels + 3 * i, packed_words(floats_at(r + i), floats_at(g + i), floats_at(b + i)));
  if (i == n) return;
  floats last[3] = {{0}, {0}, {0}};
  uint8_t bytes[3 * LANES];
  for (int c = 0; c < 3; c++) memcpy(&last[c], in->plane[c] + i, (n - i) * sizeof(float));
  store_packed(bytes, packed_words(last[0], last[1], last[2]));
  memcpy(pixels + 3 * i, bytes, 3 * (n - i));
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
