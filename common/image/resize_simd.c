#include "image/resize_simd.h"

#include <string.h>

#include "image/simd.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE floats load_bytes(const uint8_t *p) {
  return __builtin_convertvector(ints_at_bytes(p), floats);
}

/* name: out[i] = sum_t w[t] rows[t stride + i], the rows' elements being `type`, of which `load` takes LANES.
 * The sum's order: the first four taps one by one, then pairs. */
#define BLEND(name, type, load)                                                                              \
  ALWAYS_INLINE floats name##_at(const type *p, size_t stride, const float *w, int32_t taps) {               \
    floats sum = w[0] * load(p);                                                                             \
    for (int32_t t = 1; t < taps && t < 4; t++) sum += w[t] * load(p + (size_t)t * stride);                  \
    for (int32_t t = 4; t < taps; t += 2) {                                                                  \
      floats pair = w[t] * load(p + (size_t)t * stride);                                                     \
      if (t + 1 < taps) pair += w[t + 1] * load(p + (size_t)(t + 1) * stride);                               \
      sum += pair;                                                                                           \
    }                                                                                                        \
    return sum;                                                                                              \
  }                                                                                                          \
  ALWAYS_INLINE void name##_taps(float *out, const type *rows, size_t stride, const float *w, size_t n,      \
                                 int32_t taps) {                                                             \
    size_t i = 0;                                                                                            \
    for (; i + LANES <= n; i += LANES) floats_to(out + i, name##_at(rows + i, stride, w, taps));             \
    if (i < n) floats_to(out + n - LANES, name##_at(rows + n - LANES, stride, w, taps));                     \
  }                                                                                                          \
  /* For rows shorter than a vector. */                                                                      \
  static void name##_few(float *out, const type *rows, size_t stride, const float *w, size_t n,              \
                         int32_t taps) {                                                                     \
    for (size_t i = 0; i < n; i++) {                                                                         \
      const type *p = rows + i;                                                                              \
      float sum = w[0] * (float)*p;                                                                          \
      for (int32_t t = 1; t < taps && t < 4; t++) sum += w[t] * (float)p[(size_t)t * stride];                \
      for (int32_t t = 4; t < taps; t += 2) {                                                                \
        float pair = w[t] * (float)p[(size_t)t * stride];                                                    \
        if (t + 1 < taps) pair += w[t + 1] * (float)p[(size_t)(t + 1) * stride];                             \
        sum += pair;                                                                                         \
      }                                                                                                      \
      out[i] = sum;                                                                                          \
    }                                                                                                        \
  }                                                                                                          \
  static void name(float *out, const type *rows, size_t stride, const float *w, int32_t taps, size_t n) {    \
    if (n < LANES) {                                                                                         \
      name##_few(out, rows, stride, w, n, taps);                                                             \
      return;                                                                                                \
    }                                                                                                        \
    switch (taps) { /* the common numbers with their loops unrolled */                                       \
    case 1: name##_taps(out, rows, stride, w, n, 1); break;                                                  \
    case 2: name##_taps(out, rows, stride, w, n, 2); break;                                                  \
    case 3: name##_taps(out, rows, stride, w, n, 3); break;                                                  \
    case 4: name##_taps(out, rows, stride, w, n, 4); break;                                                  \
    default: name##_taps(out, rows, stride, w, n, taps);                                                     \
    }                                                                                                        \
  }

BLEND(blend_bytes, uint8_t, load_bytes)
BLEND(blend_floats, float, floats_at)

/* One pixel of the output and one float that means nothing. */
static inline floats4 squeeze(const float *in, const float *w, int32_t taps) {
  floats4 sum = w[0] * *(const floats4 *)in;
  for (int32_t t = 1; t < taps; t++) sum += w[t] * *(const floats4 *)(in + 3 * (size_t)t);
  return sum;
}

#if LANES >= 8
/* Two pixels of the output, eight floats apart in `w` from tap to tap. */
static inline floats squeeze_two(const float *in, const float *other, const float *w, int32_t taps) {
  floats sum = {0};
  for (int32_t t = 0; t < taps; t++, in += 3, other += 3, w += 8) {
    __m256 two = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(in)), _mm_loadu_ps(other), 1);
    sum = t ? sum + floats_at(w) * (floats)two : floats_at(w) * (floats)two;
  }
  return sum;
}

/* Eight pixels at a time, the first four side by side with the other four: `wide` has the weights in that order,
 * each four times (widen_weights). Returns how many are done. */
ALWAYS_INLINE int32_t squeeze_eights(float *r, float *g, float *b, int32_t width, const float *row,
                                     const int32_t *first, const float *wide, float scale, int32_t taps) {
  int32_t x = 0;
  for (; x + 8 <= width; x += 8) {
    __m256 p[4];
    for (int k = 0; k < 4; k++, wide += 8 * (size_t)taps)
      p[k] = (__m256)(scale * squeeze_two(row + 3 * (size_t)first[x + k], row + 3 * (size_t)first[x + k + 4],
                                          wide, taps));
    __m256 rg01 = _mm256_unpacklo_ps(p[0], p[1]), rg23 = _mm256_unpacklo_ps(p[2], p[3]);
    __m256 b01 = _mm256_unpackhi_ps(p[0], p[1]), b23 = _mm256_unpackhi_ps(p[2], p[3]);
    _mm256_storeu_ps(r + x, _mm256_shuffle_ps(rg01, rg23, _MM_SHUFFLE(1, 0, 1, 0)));
    _mm256_storeu_ps(g + x, _mm256_shuffle_ps(rg01, rg23, _MM_SHUFFLE(3, 2, 3, 2)));
    _mm256_storeu_ps(b + x, _mm256_shuffle_ps(b01, b23, _MM_SHUFFLE(1, 0, 1, 0)));
  }
  return x;
}

static void widen_weights(float *wide, const struct resize_axis *axis, int32_t width) {
  for (int32_t x = 0; x + 8 <= width; x += 8)
    for (int32_t k = 0; k < 4; k++)
      for (int32_t t = 0; t < axis->taps; t++, wide += 8) {
        const float *w = axis->weight + (size_t)(x + k) * (size_t)axis->taps + t;
        floats_to(wide, (floats)_mm256_set_m128(_mm_set1_ps(w[4 * (size_t)axis->taps]), _mm_set1_ps(*w)));
      }
}
#else
static inline int32_t squeeze_eights(float *r, float *g, float *b, int32_t width, const float *row,
                                     const int32_t *first, const float *wide, float scale, int32_t taps) {
  (void)r, (void)g, (void)b, (void)width, (void)row, (void)first, (void)wide, (void)scale, (void)taps;
  return 0;
}

static void widen_weights(float *wide, const struct resize_axis *axis, int32_t width) {
  (void)wide, (void)axis, (void)width;
}
#endif

/* One row of the output from one row of packed float RGB, which has a spare float behind its last pixel. */
ALWAYS_INLINE void squeeze_taps(float *r, float *g, float *b, int32_t width, const float *row,
                                const struct resize_axis *axis, const float *wide, float scale,
                                int32_t taps) {
  const int32_t *first = axis->first;
  int32_t x = squeeze_eights(r, g, b, width, row, first, wide, scale, taps);
  const float *w = axis->weight + (size_t)x * (size_t)taps;
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
                        const float *wide, float scale) {
  size_t at = (size_t)y * (size_t)out->width;
  float *r = out->plane[0] + at, *g = out->plane[1] + at, *b = out->plane[2] + at;
  switch (axis->taps) { /* the common numbers with their loops unrolled */
  case 1: squeeze_taps(r, g, b, out->width, row, axis, wide, scale, 1); break;
  case 2: squeeze_taps(r, g, b, out->width, row, axis, wide, scale, 2); break;
  case 3: squeeze_taps(r, g, b, out->width, row, axis, wide, scale, 3); break;
  case 4: squeeze_taps(r, g, b, out->width, row, axis, wide, scale, 4); break;
  case 5: squeeze_taps(r, g, b, out->width, row, axis, wide, scale, 5); break;
  default: squeeze_taps(r, g, b, out->width, row, axis, wide, scale, axis->taps); break;
  }
}

/* Weights of an output without the zeros at their end, which add nothing. */
static int32_t taps_of(const float *w, int32_t taps) {
  while (taps > 1 && w[taps - 1] == 0.0F) taps--;
  return taps;
}

PIXEL_LOOP(void, resize_bytes,
           (const struct planes *out, const uint8_t *pixels, size_t stride, size_t n,
            const struct resize_axis axes[2], float *room),
           (out, pixels, stride, n, axes, room)) {
  float *wide = room, *row = room + resize_wide_floats(out->width, axes[0].taps);
  memset(row + n, 0, 4 * sizeof *row);
  widen_weights(wide, &axes[0], out->width);
  for (int32_t y = 0; y < out->height; y++) {
    const float *w = axes[1].weight + (size_t)y * (size_t)axes[1].taps;
    blend_bytes(row, pixels + (size_t)axes[1].first[y] * stride, stride, w, taps_of(w, axes[1].taps), n);
    squeeze_row(out, y, row, &axes[0], wide, 1.0F / 255.0F);
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
            const struct resize_axis axes[2], float *room),
           (out, in, part, axes, room)) {
  size_t n = 3 * (size_t)part.width;
  float *wide = room, *row = room + resize_wide_floats(out->width, axes[0].taps), *packed = row + n + 4;
  memset(row + n, 0, 4 * sizeof *row);
  widen_weights(wide, &axes[0], out->width);
  pack(in, part, packed);
  for (int32_t y = 0; y < out->height; y++) {
    const float *w = axes[1].weight + (size_t)y * (size_t)axes[1].taps;
    blend_floats(row, packed + (size_t)axes[1].first[y] * n, n, w, taps_of(w, axes[1].taps), n);
    squeeze_row(out, y, row, &axes[0], wide, 1.0F);
  }
  clamp_planes(out);
}
