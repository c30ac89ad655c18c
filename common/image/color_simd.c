#include "image/color.h"

#include <string.h>

#include "image/simd.h"

static inline size_t area(const struct planes *p) { return (size_t)p->width * (size_t)p->height; }

/* LANES pixels. */
struct pixels {
  floats r, g, b;
};

typedef struct pixels change(struct pixels p, float a, float b);

/* Inlined with its `one`. The last few pixels are worked on in a copy. */
static inline __attribute__((always_inline)) void each_pixel(const struct planes *image, change *one, float a,
                                                             float b) {
  float *red = image->plane[0], *green = image->plane[1], *blue = image->plane[2];
  size_t n = area(image), i = 0;
  for (; i + LANES <= n; i += LANES) {
    struct pixels p =
        one((struct pixels){floats_at(red + i), floats_at(green + i), floats_at(blue + i)}, a, b);
    floats_to(red + i, p.r);
    floats_to(green + i, p.g);
    floats_to(blue + i, p.b);
  }
  if (i == n) return;
  struct pixels p = {{0}, {0}, {0}};
  size_t rest = (n - i) * sizeof(float);
  memcpy(&p.r, red + i, rest);
  memcpy(&p.g, green + i, rest);
  memcpy(&p.b, blue + i, rest);
  p = one(p, a, b);
  memcpy(red + i, &p.r, rest);
  memcpy(green + i, &p.g, rest);
  memcpy(blue + i, &p.b, rest);
}

static inline floats luma(struct pixels p) { return 0.2989F * p.r + 0.587F * p.g + 0.114F * p.b; }

static inline struct pixels affine(struct pixels p, float factor, float offset) {
  return (struct pixels){floats_clamp01(factor * p.r + offset), floats_clamp01(factor * p.g + offset),
                         floats_clamp01(factor * p.b + offset)};
}

static inline struct pixels saturate(struct pixels p, float factor, float rest) {
  floats grey = rest * luma(p);
  return (struct pixels){floats_clamp01(factor * p.r + grey), floats_clamp01(factor * p.g + grey),
                         floats_clamp01(factor * p.b + grey)};
}

static inline struct pixels gray(struct pixels p, float unused, float unused_too) {
  (void)unused, (void)unused_too;
  floats l = luma(p);
  return (struct pixels){l, l, l};
}

/* x where the mask is set, else +0. */
static inline floats where(ints mask, float x) { return (floats)(mask & (ints)floats_all(x)); }

/* V - delta * clamp(min(k, 4-k)), k = (offset + six_h) mod 6: the
 * table VTP, QVP, PVT, ... in one expression. */
static inline floats sector(floats value, floats delta, floats six_h, float offset) {
  floats k = six_h + offset;
  k -= where(k >= 6.0F, 6.0F);
  return value - delta * floats_clamp01(floats_min(k, 4.0F - k));
}

static inline struct pixels hue(struct pixels p, float six_turn, float unused) {
  (void)unused;
  floats high = floats_max(p.b, floats_max(p.r, p.g)), low = floats_min(p.b, floats_min(p.r, p.g));
  floats delta = high - low, top = p.r - p.g, base = floats_all(4.0F);
  ints is_green = high == p.g, is_red = high == p.r;
  top = floats_choose(is_green, p.b - p.r, top);
  base = floats_choose(is_green, floats_all(2.0F), base);
  top = floats_choose(is_red, p.g - p.b, top);
  base = floats_choose(is_red, floats_all(0.0F), base);
  floats six_h = base + top / floats_choose(delta > 0.0F, delta, floats_all(1.0F)) + six_turn;
  six_h += where(six_h < 0.0F, 6.0F);
  six_h -= where(six_h >= 6.0F, 6.0F);
  return (struct pixels){sector(high, delta, six_h, 5.0F), sector(high, delta, six_h, 3.0F),
                         sector(high, delta, six_h, 1.0F)};
}

/* Sixteen running sums over blocks of 1024, then doubles: a fixed order, so the same bits at any vector
 * width. */
static double luma_sum(const struct planes *image) {
  enum { BLOCK = 1024, SUMS = 16, PARTS = SUMS / LANES };
  const float *r = image->plane[0], *g = image->plane[1], *b = image->plane[2];
  size_t n = area(image), i = 0;
  double sum = 0;
  while (i + SUMS <= n) {
    floats part[PARTS] = {{0}};
    for (size_t end = i + BLOCK < n ? i + BLOCK : n; i + SUMS <= end; i += SUMS)
      for (size_t k = 0; k < PARTS; k++) {
        size_t at = i + k * LANES;
        part[k] += luma((struct pixels){floats_at(r + at), floats_at(g + at), floats_at(b + at)});
      }
    float sums[SUMS];
    memcpy(sums, part, sizeof sums);
    for (int k = 0; k < SUMS / 2; k++) sum += (double)sums[k] + (double)sums[k + SUMS / 2];
  }
  for (; i < n; i++) sum += (double)(0.2989F * r[i] + 0.587F * g[i] + 0.114F * b[i]);
  return sum;
}

PIXEL_LOOP(void, color_brightness, (const struct planes *image, float factor), (image, factor)) {
  each_pixel(image, affine, factor, 0.0F);
}

PIXEL_LOOP(void, color_contrast, (const struct planes *image, float factor), (image, factor)) {
  float rest = (1.0F - factor) * (float)(luma_sum(image) / (double)area(image));
  each_pixel(image, affine, factor, rest);
}

PIXEL_LOOP(void, color_saturation, (const struct planes *image, float factor), (image, factor)) {
  each_pixel(image, saturate, factor, 1.0F - factor);
}

PIXEL_LOOP(void, color_gray, (const struct planes *image), (image)) { each_pixel(image, gray, 0, 0); }

PIXEL_LOOP(void, color_hue, (const struct planes *image, float turn), (image, turn)) {
  if (turn == 0.0F) return;
  each_pixel(image, hue, 6.0F * turn, 0);
}
