#include "nn/cpu.h"
#include "nn/optimiser.h"

enum { PIECE = 1 << 16 }; /* numbers per task */

CPU_CLONES static void update_piece(float *x, const float *g, float *v, int64_t count, float lr,
                                    float momentum, float decay) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    v[i] = momentum * v[i] + (g[i] + decay * x[i]);
    x[i] -= lr * v[i];
  }
}

static enum status update(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                          const double *arg) {
  (void)device;
  int64_t count = (int64_t)(bytes / sizeof(float));
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < count; at += PIECE) {
    update_piece((float *)theta + at, (const float *)grad + at, (float *)state[0] + at,
                 count - at < PIECE ? count - at : PIECE, (float)arg[ARG_RATE], (float)arg[ARG_OWN],
                 (float)arg[ARG_DECAY]);
  }
  return OK;
}

const struct kernel kernel_sgd_cpu = {.op = "sgd", .backend = "cpu", .update = update};
