#include "image/blur_simd.h"

#include <assert.h>
#include <string.h>

#include "image/blur.h"
#include "image/simd.h"

/* Mirror without edge repeat, as often as needed: a kernel may be longer than the image. */
static int32_t mirror(int32_t i, int32_t n) {
  if (n == 1) return 0;
  int32_t period = 2 * (n - 1);
  i %= period;
  i = i < 0 ? i + period : i;
  return i < n ? i : period - i;
}

/* out = w[0] in + sum_i w[i] (in[-i] + in[+i]): the same whether the image is mirrored or not. Four vectors at
 * a time, so that their sums stay in registers over all taps. */
static void convolve(float *restrict out, const float *const *before, const float *const *after,
                     const float *w, int32_t radius, size_t n) {
  size_t x = 0;
  for (; x + 4 * LANES <= n; x += 4 * LANES) {
    const floats *a = (const floats *)(before[0] + x), *b;
    floats s0 = w[0] * a[0], s1 = w[0] * a[1], s2 = w[0] * a[2], s3 = w[0] * a[3];
    for (int32_t i = 1; i <= radius; i++) {
      a = (const floats *)(before[i] + x);
      b = (const floats *)(after[i] + x);
      s0 += w[i] * (a[0] + b[0]);
      s1 += w[i] * (a[1] + b[1]);
      s2 += w[i] * (a[2] + b[2]);
      s3 += w[i] * (a[3] + b[3]);
    }
    floats *to = (floats *)(out + x);
    to[0] = s0;
    to[1] = s1;
    to[2] = s2;
    to[3] = s3;
  }
  for (; x < n; x++) {
    float sum = w[0] * before[0][x];
    for (int32_t i = 1; i <= radius; i++) sum += w[i] * (before[i][x] + after[i][x]);
    out[x] = sum;
  }
}

static void blur_rows(const float *in, float *out, struct extent size, const float *w, int32_t radius,
                      float *row) {
  assert(radius >= 0);
  const float *before[BLUR_MAX_KERNEL / 2 + 1], *after[BLUR_MAX_KERNEL / 2 + 1];
  for (int32_t i = 0; i <= radius; i++) {
    before[i] = row + radius - i;
    after[i] = row + radius + i;
  }
  for (int32_t y = 0; y < size.height; y++, in += size.width, out += size.width) {
    memcpy(row + radius, in, (size_t)size.width * sizeof *row);
    for (int32_t i = 1; i <= radius; i++) {
      row[radius - i] = in[mirror(-i, size.width)];
      row[radius + size.width - 1 + i] = in[mirror(size.width - 1 + i, size.width)];
    }
    convolve(out, before, after, w, radius, (size_t)size.width);
  }
}

static void blur_columns(const float *in, float *out, struct extent size, const float *w, int32_t radius) {
  assert(radius >= 0);
  const float *before[BLUR_MAX_KERNEL / 2 + 1], *after[BLUR_MAX_KERNEL / 2 + 1];
  size_t width = (size_t)size.width;
  for (int32_t y = 0; y < size.height; y++) {
    for (int32_t i = 0; i <= radius; i++) {
      before[i] = in + (size_t)mirror(y - i, size.height) * width;
      after[i] = in + (size_t)mirror(y + i, size.height) * width;
    }
    convolve(out + (size_t)y * width, before, after, w, radius, width);
  }
}

PIXEL_LOOP(void, blur_plane,
           (const float *in, float *out, struct extent size, const float *w, int32_t radius, float *scratch),
           (in, out, size, w, radius, scratch)) {
  float *between = scratch, *row = scratch + (size_t)size.width * (size_t)size.height;
  blur_rows(in, between, size, w, radius, row);
  blur_columns(between, out, size, w, radius);
}
