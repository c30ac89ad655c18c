#include <math.h>

#include "nn/cpu.h"
#include "nn/optimiser.h"

enum { PIECE = 1 << 16 }; /* numbers per task */

struct numbers {
  float rate, decay, keep_m, take_m, keep_v, take_v, epsilon, root_scale;
};

CPU_CLONES static void update_piece(float *x, const float *g, float *m, float *v, int64_t count,
                                    struct numbers a) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    float d = g[i] + a.decay * x[i];
    m[i] = a.keep_m * m[i] + a.take_m * d;
    v[i] = a.keep_v * v[i] + a.take_v * d * d;
    x[i] -= a.rate * m[i] / (sqrtf(v[i]) * a.root_scale + a.epsilon);
  }
}

static enum status update(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                          const double *arg) {
  (void)device;
  const double *own = arg + ARG_OWN;
  const struct numbers a = {.rate = (float)(arg[ARG_RATE] * own[3]),
                            .decay = (float)arg[ARG_DECAY],
                            .keep_m = (float)own[0],
                            .take_m = (float)(1 - own[0]),
                            .keep_v = (float)own[1],
                            .take_v = (float)(1 - own[1]),
                            .epsilon = (float)own[2],
                            .root_scale = (float)own[4]};
  int64_t count = (int64_t)(bytes / sizeof(float));
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < count; at += PIECE)
    update_piece((float *)theta + at, (const float *)grad + at, (float *)state[0] + at,
                 (float *)state[1] + at, count - at < PIECE ? count - at : PIECE, a);
  return OK;
}

const struct kernel kernel_adam_cpu = {.op = "adam", .backend = "cpu", .update = update};
