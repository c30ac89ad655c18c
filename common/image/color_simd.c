#include "image/color.h"

#include "image/simd.h"

static inline float clamp01(float x) {
  x = x > 0.0F ? x : 0.0F;
  return x < 1.0F ? x : 1.0F;
}

static inline float luma(float r, float g, float b) { return 0.2989F * r + 0.587F * g + 0.114F * b; }

static inline size_t area(const struct planes *p) { return (size_t)p->width * (size_t)p->height; }

PIXEL_LOOP(void, color_brightness, (const struct planes *image, float factor), (image, factor)) {
  size_t n = area(image);
  for (int c = 0; c < 3; c++) {
    float *x = image->plane[c];
    for (size_t i = 0; i < n; i++) x[i] = clamp01(factor * x[i]);
  }
}

/* Sixteen running sums over blocks of 1024, then doubles: a fixed order, so the same bits at any vector
 * width. */
static double luma_sum(const struct planes *image) {
  enum { BLOCK = 1024 };
  const float *r = image->plane[0], *g = image->plane[1], *b = image->plane[2];
  size_t n = area(image), i = 0;
  double sum = 0;
  while (i + 16 <= n) {
    floats8 low = {0}, high = {0};
    for (size_t end = i + BLOCK < n ? i + BLOCK : n; i + 16 <= end; i += 16) {
      const floats8 *r8 = (const floats8 *)(r + i), *g8 = (const floats8 *)(g + i),
                    *b8 = (const floats8 *)(b + i);
      low += 0.2989F * r8[0] + 0.587F * g8[0] + 0.114F * b8[0];
      high += 0.2989F * r8[1] + 0.587F * g8[1] + 0.114F * b8[1];
    }
    for (int k = 0; k < 8; k++) sum += (double)low[k] + (double)high[k];
  }
  for (; i < n; i++) sum += (double)luma(r[i], g[i], b[i]);
  return sum;
}

PIXEL_LOOP(void, color_contrast, (const struct planes *image, float factor), (image, factor)) {
  size_t n = area(image);
  float rest = (1.0F - factor) * (float)(luma_sum(image) / (double)n);
  for (int c = 0; c < 3; c++) {
    float *x = image->plane[c];
    for (size_t i = 0; i < n; i++) x[i] = clamp01(factor * x[i] + rest);
  }
}

PIXEL_LOOP(void, color_saturation, (const struct planes *image, float factor), (image, factor)) {
  float *restrict r = image->plane[0], *restrict g = image->plane[1], *restrict b = image->plane[2];
  float rest = 1.0F - factor;
  size_t n = area(image);
  for (size_t i = 0; i < n; i++) {
    float grey = rest * luma(r[i], g[i], b[i]);
    r[i] = clamp01(factor * r[i] + grey);
    g[i] = clamp01(factor * g[i] + grey);
    b[i] = clamp01(factor * b[i] + grey);
  }
}

PIXEL_LOOP(void, color_gray, (const struct planes *image), (image)) {
  float *restrict r = image->plane[0], *restrict g = image->plane[1], *restrict b = image->plane[2];
  size_t n = area(image);
  for (size_t i = 0; i < n; i++) r[i] = g[i] = b[i] = luma(r[i], g[i], b[i]);
}

/* V - delta * clamp(min(k, 4-k)), k = (offset + six_h) mod 6: the
 * table VTP, QVP, PVT, ... in one expression. */
static inline float sector(float value, float delta, float six_h, float offset) {
  float k = six_h + offset;
  k = k >= 6.0F ? k - 6.0F : k;
  float m = 4.0F - k;
  m = k < m ? k : m;
  return value - delta * clamp01(m);
}

PIXEL_LOOP(void, color_hue, (const struct planes *image, float turn), (image, turn)) {
  if (turn == 0.0F) return;
  float *restrict r = image->plane[0], *restrict g = image->plane[1], *restrict b = image->plane[2];
  float six_turn = 6.0F * turn;
  size_t n = area(image);
  for (size_t i = 0; i < n; i++) {
    float red = r[i], green = g[i], blue = b[i];
    float high = red > green ? red : green, low = red < green ? red : green;
    high = blue > high ? blue : high;
    low = blue < low ? blue : low;
    float delta = high - low, top = red - green, base = 4.0F;
    top = high == green ? blue - red : top;
    base = high == green ? 2.0F : base;
    top = high == red ? green - blue : top;
    base = high == red ? 0.0F : base;
    float six_h = base + top / (delta > 0.0F ? delta : 1.0F) + six_turn;
    six_h = six_h < 0.0F ? six_h + 6.0F : six_h;
    six_h = six_h >= 6.0F ? six_h - 6.0F : six_h;
    r[i] = sector(high, delta, six_h, 5.0F);
    g[i] = sector(high, delta, six_h, 3.0F);
    b[i] = sector(high, delta, six_h, 1.0F);
  }
}
