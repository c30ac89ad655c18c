#include <cblas.h>
#include <stdbool.h>
#include <stdint.h>

#define REAL float
static void product(bool transposed, int64_t m, int64_t n, int64_t k, double alpha, const float *a,
                    const float *b, float *c) {
  cblas_sgemm(CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k,
              (float)alpha, a, (int)(transposed ? m : k), b, (int)n, 0, c, (int)n);
}
#include "nn/barlow_loss/barlow_loss_loops.h"

const struct kernel kernel_barlow_loss_cpu = {
    .op = "barlow_loss", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
