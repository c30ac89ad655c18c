#include "nn/hyper_bilinear/hyper_bilinear_loops.h"

#include "nn/cpu.h"
#include "nn/wide.h"

enum { TILE = 6 }; /* rows at a time: twelve sums of eight fill AVX2's registers and hide the latency */

/* The products of rows `at` and following with the panel; beyond the last row, the last one's again. */
WIDE_INLINE void multiply_tile(const struct hyper_rows *a, int64_t at, const float *panel,
                               struct wide product[TILE]) {
  const float *row[TILE];
  struct wide sum[TILE] = {0};
  for (int64_t r = 0; r < TILE; r++) row[r] = a->a + (at + r < a->rows ? at + r : a->rows - 1) * a->stride;
  for (int64_t j = 0; j < a->n; j++) {
    const struct wide b = wide_load(panel + j * PANEL);
#pragma GCC unroll 6
    for (int r = 0; r < TILE; r++) {
      sum[r].lo += row[r][j] * b.lo;
      sum[r].hi += row[r][j] * b.hi;
    }
  }
  for (int r = 0; r < TILE; r++) product[r] = sum[r];
}

WIDE_INLINE int64_t tile_rows(const struct hyper_rows *a, int64_t at) {
  return a->rows - at < TILE ? a->rows - at : TILE;
}

CPU_CLONES void hyper_weighted_sum(const struct hyper_rows *a, const float *panel, const float *weight,
                                   float *sum) {
  struct wide total = wide_load(sum), product[TILE];
  for (int64_t at = 0; at < a->rows; at += TILE) {
    multiply_tile(a, at, panel, product);
    for (int64_t r = 0, rows = tile_rows(a, at); r < rows; r++)
      total = wide_add(total, wide_mul(product[r], wide_load(weight + (at + r) * PANEL)));
  }
  wide_store(sum, total);
}

CPU_CLONES void hyper_product(const struct hyper_rows *a, const float *panel, float *c, int64_t c_stride,
                              int64_t columns) {
  struct wide product[TILE];
  for (int64_t at = 0; at < a->rows; at += TILE) {
    multiply_tile(a, at, panel, product);
    for (int64_t r = 0, rows = tile_rows(a, at); r < rows; r++) {
      float *to = c + (at + r) * c_stride, narrow[PANEL];
      if (columns == PANEL) {
        wide_store(to, product[r]);
        continue;
      }
      wide_store(narrow, product[r]);
      for (int64_t j = 0; j < columns; j++) to[j] = narrow[j];
    }
  }
}
