#include "spread.h"

#include <math.h>

#include "rows.h"

static double std_of(const float *z, int64_t n, int64_t dim) {
  double total = 0;
  for (int64_t d = 0; d < dim; d++) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)z[i * dim + d] / (double)n;
    for (int64_t i = 0; i < n; i++) squares += pow((double)z[i * dim + d] - mean, 2);
    total += sqrt(squares / (double)n);
  }
  return total / (double)dim * sqrt((double)dim);
}

static double squared_distance(const float *a, const float *b, int64_t dim) {
  double squares = 0;
  for (int64_t d = 0; d < dim; d++) squares += pow((double)a[d] - (double)b[d], 2);
  return squares;
}

/* |a - b|^2 = 2 - 2 ab of unit rows. */
static double uniformity_of(const float *z, int64_t n, int64_t dim) {
  double sum = 0;
  for (int64_t i = 1; i < n; i++)
    for (int64_t j = 0; j < i; j++) sum += exp(4 * (rows_product(z + i * dim, z + j * dim, dim) - 1));
  return log(sum / ((double)n * (double)(n - 1) / 2));
}

struct spread spread_of(float *z, int64_t n, int64_t dim) {
  struct spread s = {0};
  rows_normalise(z, 2 * n, dim);
  s.std = std_of(z, 2 * n, dim);
  for (int64_t i = 0; i < n; i++)
    s.alignment += squared_distance(z + i * dim, z + (n + i) * dim, dim) / (double)n;
  s.uniformity = (uniformity_of(z, n, dim) + uniformity_of(z + n * dim, n, dim)) / 2;
  return s;
}
