#include "nn/cpu.h"

static enum status update(void *device, void *average, const void *theta, void *const *state, size_t bytes,
                          const double *m) {
  (void)device;
  (void)state;
  float *x = average, keep = (float)*m, take = (float)(1 - *m);
  const float *t = theta;
  int64_t count = (int64_t)(bytes / sizeof *x);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++) x[i] = keep * x[i] + take * t[i];
  return OK;
}

const struct kernel kernel_ema_cpu = {.op = "ema", .backend = "cpu", .update = update};
