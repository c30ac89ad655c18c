#include <stdbool.h>
#include <stdint.h>

#define REAL double
static void product(bool transposed, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                    const double *b, double *c) {
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) sum += a[transposed ? l * m + i : i * k + l] * b[l * n + j];
      c[i * n + j] = alpha * sum;
    }
  }
}
#include "nn/barlow_loss/barlow_loss_loops.h"

const struct kernel kernel_barlow_loss_ref = {
    .op = "barlow_loss", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
