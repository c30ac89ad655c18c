#include "image/color.h"

#include <stdbool.h>
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

enum { BLOCK = 1024 }; /* pixels that are worked on together: 12 KB, which a first-level cache holds */

/* Adds a block's lumas: sixteen running sums, then doubles - a fixed order, so the same bits at any vector
 * width. */
static void add_lumas(const struct planes *block, double *sum) {
  enum { SUMS = 16, PARTS = SUMS / LANES };
  const float *r = block->plane[0], *g = block->plane[1], *b = block->plane[2];
  size_t n = area(block), i = 0;
  floats part[PARTS] = {{0}};
  for (; i + SUMS <= n; i += SUMS)
    for (size_t k = 0; k < PARTS; k++) {
      size_t at = i + k * LANES;
      part[k] += luma((struct pixels){floats_at(r + at), floats_at(g + at), floats_at(b + at)});
    }
  float sums[SUMS];
  memcpy(sums, part, sizeof sums);
  for (int k = 0; k < SUMS / 2; k++) *sum += (double)sums[k] + (double)sums[k + SUMS / 2];
  for (; i < n; i++) *sum += (double)(0.2989F * r[i] + 0.587F * g[i] + 0.114F * b[i]);
}

/* rest: what a contrast adds. */
static void change_block(const struct planes *block, const struct color_step *step, float rest) {
  float f = step->factor;
  switch (step->kind) {
  case COLOR_BRIGHTNESS: each_pixel(block, affine, f, 0.0F); break;
  case COLOR_CONTRAST: each_pixel(block, affine, f, rest); break;
  case COLOR_SATURATION: each_pixel(block, saturate, f, 1.0F - f); break;
  case COLOR_HUE:
    if (f != 0.0F) each_pixel(block, hue, 6.0F * f, 0);
    break;
  case COLOR_GRAY: each_pixel(block, gray, 0, 0); break;
  }
}

/* Steps of which only the first may be a contrast; returns the sum of the lumas after them if that is wanted. */
static double pass(const struct planes *image, const struct color_step *steps, int n, float rest, bool sums) {
  size_t left = area(image);
  struct planes block = *image;
  double sum = 0;
  block.height = 1;
  for (; left > 0; left -= (size_t)block.width) {
    block.width = left < BLOCK ? (int32_t)left : BLOCK;
    for (int i = 0; i < n; i++) change_block(&block, &steps[i], rest);
    if (sums) add_lumas(&block, &sum);
    for (int c = 0; c < 3; c++) block.plane[c] += block.width;
  }
  return sum;
}

PIXEL_LOOP(void, color_chain, (const struct planes *image, const struct color_step *steps, int n),
           (image, steps, n)) {
  bool known = false; /* `rest` is that of a contrast at `from` */
  float rest = 0;
  for (int from = 0, to; from < n; from = to) {
    to = from + known;
    while (to < n && steps[to].kind != COLOR_CONTRAST) to++;
    double sum = pass(image, steps + from, to - from, rest, to < n);
    known = to < n;
    if (known) rest = (1.0F - steps[to].factor) * (float)(sum / (double)area(image));
  }
}
