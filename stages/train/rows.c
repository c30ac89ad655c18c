#include "rows.h"

#include <math.h>

enum { LANES = 8 }; /* sums side by side, which the compiler makes vectors of */

void rows_normalise(float *x, int64_t n, int64_t dim) {
  for (int64_t i = 0; i < n; i++, x += dim) {
    double squares = 0;
    for (int64_t d = 0; d < dim; d++) squares += (double)x[d] * (double)x[d];
    if (squares == 0) continue;
    double scale = 1 / sqrt(squares);
    for (int64_t d = 0; d < dim; d++) x[d] = (float)((double)x[d] * scale);
  }
}

double rows_product(const float *a, const float *b, int64_t dim) {
  float sum[LANES] = {0};
  double total = 0;
  int64_t whole = dim / LANES * LANES;
  for (int64_t d = 0; d < whole; d += LANES)
    for (int lane = 0; lane < LANES; lane++) sum[lane] += a[d + lane] * b[d + lane];
  for (int64_t d = whole; d < dim; d++) total += (double)a[d] * (double)b[d];
  for (int lane = 0; lane < LANES; lane++) total += (double)sum[lane];
  return total;
}
