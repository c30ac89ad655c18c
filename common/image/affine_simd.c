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

static inline uint32_t blend(const struct neighbours *n, int32_t i, int shift) {
  float a = channel(n->at[0][i], shift), b = channel(n->at[1][i], shift);
  float c = channel(n->at[2][i], shift), d = channel(n->at[3][i], shift);
  float top = a + (b - a) * n->x[i], bottom = c + (d - c) * n->x[i];
  return (uint32_t)(int32_t)(top + (bottom - top) * n->y[i]) << shift;
}

PIXEL_LOOP(void, affine_row_words, (const struct words *in, const struct affine_row *row, uint32_t *out),
           (in, row, out)) {
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
    float top = above[left] + (above[right] - above[left]) * fraction(u);
    float bottom = below[left] + (below[right] - below[left]) * fraction(u);
    out[i] = top + (bottom - top) * fraction(v);
  }
}
