#include "image/resize_simd.h"

#include <string.h>

#include "image/simd.h"

/* out[i] = sum_t w[t] rows[t * stride + i], the rows' elements being `type`: up to four taps at a time. */
#define BLEND(name, type)                                                                                    \
  static void name(float *restrict out, const type *restrict rows, size_t stride, const float *w,            \
                   int32_t taps, size_t n) {                                                                 \
    const type *a = rows, *b = a + (taps > 1 ? stride : 0), *c = b + (taps > 2 ? stride : 0),                \
               *d = c + (taps > 3 ? stride : 0);                                                             \
    float wa = w[0], wb = taps > 1 ? w[1] : 0, wc = taps > 2 ? w[2] : 0, wd = taps > 3 ? w[3] : 0;           \
    if (taps <= 2)                                                                                           \
      for (size_t i = 0; i < n; i++) out[i] = wa * (float)a[i] + wb * (float)b[i];                           \
    else                                                                                                     \
      for (size_t i = 0; i < n; i++)                                                                         \
        out[i] = wa * (float)a[i] + wb * (float)b[i] + wc * (float)c[i] + wd * (float)d[i];                  \
    for (int32_t t = 4; t < taps; t += 2) {                                                                  \
      a = rows + (size_t)t * stride;                                                                         \
      b = a + (t + 1 < taps ? stride : 0);                                                                   \
      wa = w[t];                                                                                             \
      wb = t + 1 < taps ? w[t + 1] : 0;                                                                      \
      for (size_t i = 0; i < n; i++) out[i] += wa * (float)a[i] + wb * (float)b[i];                          \
    }                                                                                                        \
  }

BLEND(blend_bytes, uint8_t)
BLEND(blend_floats, float)

/* One pixel of the output and one float that means nothing. */
static inline floats4 squeeze(const float *in, const float *w, int32_t taps) {
  floats4 sum = w[0] * *(const floats4 *)in;
  for (int32_t t = 1; t < taps; t++) sum += w[t] * *(const floats4 *)(in + 3 * (size_t)t);
  return sum;
}

/* One row of the output from one row of packed float RGB, which has a spare float behind its last pixel. */
static inline __attribute__((always_inline)) void squeeze_taps(float *r, float *g, float *b, int32_t width,
                                                               const float *row,
                                                               const struct resize_axis *axis, float scale,
                                                               int32_t taps) {
  const float *w = axis->weight;
  const int32_t *first = axis->first;
  int32_t x = 0;
  for (; x + 4 <= width; x += 4, w += 4 * (size_t)taps) {
    floats4 p0 = scale * squeeze(row + 3 * (size_t)first[x], w, taps);
    floats4 p1 = scale * squeeze(row + 3 * (size_t)first[x + 1], w + taps, taps);
    floats4 p2 = scale * squeeze(row + 3 * (size_t)first[x + 2], w + 2 * (size_t)taps, taps);
    floats4 p3 = scale * squeeze(row + 3 * (size_t)first[x + 3], w + 3 * (size_t)taps, taps);
    floats4 rg01 = __builtin_shufflevector(p0, p1, 0, 4, 1, 5),
            rg23 = __builtin_shufflevector(p2, p3, 0, 4, 1, 5);
    floats4 b01 = __builtin_shufflevector(p0, p1, 2, 6, 2, 6),
            b23 = __builtin_shufflevector(p2, p3, 2, 6, 2, 6);
    *(floats4 *)(r + x) = __builtin_shufflevector(rg01, rg23, 0, 1, 4, 5);
    *(floats4 *)(g + x) = __builtin_shufflevector(rg01, rg23, 2, 3, 6, 7);
    *(floats4 *)(b + x) = __builtin_shufflevector(b01, b23, 0, 1, 4, 5);
  }
  for (; x < width; x++, w += taps) {
    floats4 p = scale * squeeze(row + 3 * (size_t)first[x], w, taps);
    r[x] = p[0];
    g[x] = p[1];
    b[x] = p[2];
  }
}

static void squeeze_row(const struct planes *out, int32_t y, const float *row, const struct resize_axis *axis,
                        float scale) {
  size_t at = (size_t)y * (size_t)out->width;
  float *r = out->plane[0] + at, *g = out->plane[1] + at, *b = out->plane[2] + at;
  switch (axis->taps) { /* the common numbers with their loops unrolled */
  case 1: squeeze_taps(r, g, b, out->width, row, axis, scale, 1); break;
  case 2: squeeze_taps(r, g, b, out->width, row, axis, scale, 2); break;
  case 3: squeeze_taps(r, g, b, out->width, row, axis, scale, 3); break;
  case 4: squeeze_taps(r, g, b, out->width, row, axis, scale, 4); break;
  case 5: squeeze_taps(r, g, b, out->width, row, axis, scale, 5); break;
  default: squeeze_taps(r, g, b, out->width, row, axis, scale, axis->taps); break;
  }
}

/* Weights of an output without the zeros at their end, which add nothing. */
static int32_t taps_of(const float *w, int32_t taps) {
  while (taps > 1 && w[taps - 1] == 0.0F) taps--;
  return taps;
}

PIXEL_LOOP(void, resize_bytes,
           (const struct planes *out, const uint8_t *pixels, size_t stride, size_t n,
            const struct resize_axis axes[2], float *row),
           (out, pixels, stride, n, axes, row)) {
  memset(row + n, 0, 4 * sizeof *row);
  for (int32_t y = 0; y < out->height; y++) {
    const float *w = axes[1].weight + (size_t)y * (size_t)axes[1].taps;
    blend_bytes(row, pixels + (size_t)axes[1].first[y] * stride, stride, w, taps_of(w, axes[1].taps), n);
    squeeze_row(out, y, row, &axes[0], 1.0F / 255.0F);
  }
}

/* Planes to packed rows, so that both kinds of input share the passes. */
static void pack(const struct planes *in, struct rect part, float *rgb) {
  for (int32_t y = 0; y < part.height; y++) {
    for (int c = 0; c < 3; c++) {
      const float *p = in->plane[c] + (size_t)(part.top + y) * (size_t)in->width + part.left;
      for (int32_t x = 0; x < part.width; x++) rgb[3 * (size_t)x + (size_t)c] = p[x];
    }
    rgb += 3 * (size_t)part.width;
  }
}

static void clamp_planes(const struct planes *p) {
  size_t n = (size_t)p->width * (size_t)p->height;
  for (int c = 0; c < 3; c++) {
    float *x = p->plane[c];
    for (size_t i = 0; i < n; i++) x[i] = x[i] < 0.0F ? 0.0F : x[i] > 1.0F ? 1.0F : x[i];
  }
}

PIXEL_LOOP(void, resize_floats,
           (const struct planes *out, const struct planes *in, struct rect part,
            const struct resize_axis axes[2], float *row),
           (out, in, part, axes, row)) {
  size_t n = 3 * (size_t)part.width;
  float *packed = row + n + 4;
  memset(row + n, 0, 4 * sizeof *row);
  pack(in, part, packed);
  for (int32_t y = 0; y < out->height; y++) {
    const float *w = axes[1].weight + (size_t)y * (size_t)axes[1].taps;
    blend_floats(row, packed + (size_t)axes[1].first[y] * n, n, w, taps_of(w, axes[1].taps), n);
    squeeze_row(out, y, row, &axes[0], 1.0F);
  }
  clamp_planes(out);
}
