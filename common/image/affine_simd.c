#include "image/affine_simd.h"

#include "image/simd.h"

enum { BLOCK = 64 };
#define HALF ((int64_t)1 << 31)

/* The whole pixels of a place, and the fraction as a float with 24 bits. */
static inline int32_t whole(int64_t place) { return (int32_t)(place >> 32); }
static inline float fraction(int64_t place) { return (float)((uint32_t)place >> 8) * 0x1p-24F; }

static inline bool inside(int64_t place, int32_t size) {
  return (uint64_t)place < (uint64_t)(uint32_t)size << 32;
}

/* The four neighbours of up to BLOCK places, and how far from the first of them the place is. */
struct neighbours {
  uint32_t at[4][BLOCK];
  float x[BLOCK], y[BLOCK];
};

static void gather(const struct words *in, const struct affine_row *row, int32_t first, int32_t n,
                   struct neighbours *out) {
  int64_t x = row->x + first * row->dx, y = row->y + first * row->dy;
  for (int32_t i = 0; i < n; i++, x += row->dx, y += row->dy) {
    int64_t u = x - HALF, v = y - HALF;
    out->x[i] = fraction(u);
    out->y[i] = fraction(v);
    if (inside(x, in->width) && inside(y, in->height)) {
      const uint32_t *p = in->at + whole(v) * in->stride + whole(u);
      out->at[0][i] = p[0];
      out->at[1][i] = p[1];
      out->at[2][i] = p[in->stride];
      out->at[3][i] = p[in->stride + 1];
    } else {
      for (int k = 0; k < 4; k++) out->at[k][i] = 0;
    }
  }
}

static inline float channel(uint32_t word, int shift) { return (float)(int32_t)(word >> shift & 255); }

static inline float between(float a, float b, float fraction_of_b) { return a + (b - a) * fraction_of_b; }

static inline uint32_t truncated(float value, int shift) { return (uint32_t)(int32_t)value << shift; }

static inline uint32_t blend(const struct neighbours *n, int32_t i, int shift) {
  float a = channel(n->at[0][i], shift), b = channel(n->at[1][i], shift);
  float c = channel(n->at[2][i], shift), d = channel(n->at[3][i], shift);
  return truncated(between(between(a, b, n->x[i]), between(c, d, n->x[i]), n->y[i]), shift);
}

static inline uint32_t blend_two(uint32_t a, uint32_t b, float fraction_of_b, int shift) {
  return truncated(between(channel(a, shift), channel(b, shift), fraction_of_b), shift);
}

/* Neighbours that lie side by side in the input, between columns only. */
static void blend_columns(const uint32_t *in, float x, int32_t n, uint32_t *restrict out) {
  for (int32_t i = 0; i < n; i++)
    out[i] = blend_two(in[i], in[i + 1], x, 0) | blend_two(in[i], in[i + 1], x, 8) |
             blend_two(in[i], in[i + 1], x, 16);
}

/* The same between rows only: y[i] of the way to `below`. */
static void blend_rows(const uint32_t *in, const uint32_t *below, const float *y, int32_t n,
                       uint32_t *restrict out) {
  for (int32_t i = 0; i < n; i++)
    out[i] = blend_two(in[i], below[i], y[i], 0) | blend_two(in[i], below[i], y[i], 8) |
             blend_two(in[i], below[i], y[i], 16);
}

/* How many steps of `dy` from `place`, the first included, end before the next multiple of a half. */
static inline int64_t steps_within_half(int64_t place, int64_t dy) {
  int64_t low = place & -HALF;
  if (dy > 0) return (low + HALF - place + dy - 1) / dy;
  return dy < 0 ? (place - low) / -dy + 1 : INT32_MAX;
}

/* A row of a shear: steps of one column, so neighbours lie side by side as long as the row is the same. The
 * other fraction is zero, with which `blend` gives the same. */
static void shear_row(const struct words *in, const struct affine_row *row, uint32_t *out) {
  float y[BLOCK];
  for (int32_t i = 0, n; i < in->width; i += n) {
    int64_t x = row->x + i * row->dx, u = x - HALF, v = row->y + i * row->dy - HALF;
    n = 1;
    out[i] = 0;
    if (!inside(x, in->width) || !inside(v + HALF, in->height)) continue;
    int32_t column = i > whole(x) ? i : whole(x), most = in->width - column;
    const uint32_t *from = in->at + whole(v) * in->stride + whole(u);
    if (row->dy == 0) {
      blend_columns(from, fraction(u), n = most, out + i);
      continue;
    }
    int64_t steps = steps_within_half(v, row->dy);
    n = steps < most ? (int32_t)steps : most;
    n = n < BLOCK ? n : BLOCK;
    for (int32_t k = 0; k < n; k++)
      y[k] = (float)(int32_t)(((uint32_t)v + (uint32_t)k * (uint32_t)row->dy) >> 8) * 0x1p-24F;
    blend_rows(from, from + in->stride, y, n, out + i);
  }
}

PIXEL_LOOP(void, affine_row_words, (const struct words *in, const struct affine_row *row, uint32_t *out),
           (in, row, out)) {
  int64_t u = row->x - HALF, v = row->y - HALF, column = (int64_t)1 << 32;
  if (row->dx == column && (row->dy == 0 ? fraction(v) == 0 : fraction(u) == 0)) {
    shear_row(in, row, out);
    return;
  }
  struct neighbours near;
  for (int32_t first = 0; first < in->width; first += BLOCK) {
    int32_t n = in->width - first < BLOCK ? in->width - first : BLOCK;
    gather(in, row, first, n, &near);
    for (int32_t i = 0; i < n; i++)
      out[first + i] = blend(&near, i, 0) | blend(&near, i, 8) | blend(&near, i, 16);
  }
}

static inline int32_t clamp(int32_t i, int32_t size) { return i < 0 ? 0 : i < size ? i : size - 1; }

PIXEL_LOOP(void, affine_row_plane,
           (const float *in, struct extent size, const struct affine_row *row, float *out),
           (in, size, row, out)) {
  int64_t x = row->x, y = row->y;
  for (int32_t i = 0; i < size.width; i++, x += row->dx, y += row->dy) {
    out[i] = 0;
    if (!inside(x, size.width) || !inside(y, size.height)) continue;
    int64_t u = x - HALF, v = y - HALF;
    int32_t left = clamp(whole(u), size.width), right = clamp(whole(u) + 1, size.width);
    const float *above = in + (size_t)clamp(whole(v), size.height) * (size_t)size.width;
    const float *below = in + (size_t)clamp(whole(v) + 1, size.height) * (size_t)size.width;
    out[i] = between(between(above[left], above[right], fraction(u)),
                     between(below[left], below[right], fraction(u)), fraction(v));
  }
}
