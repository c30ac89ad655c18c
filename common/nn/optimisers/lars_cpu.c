#include <math.h>

#include "nn/cpu.h"
#include "nn/optimiser.h"

/* Sums are made of the same parts, added in the same order, for any number of threads. */
enum { N_PARTS = 64, LEAST_PART = 1 << 12 /* numbers */ };

struct sums {
  double norm, change; /* of squares */
};

CPU_CLONES static struct sums sum_part(const float *x, const float *g, int64_t count, float decay) {
  double norm = 0, change = 0;
#pragma omp simd reduction(+ : norm, change)
  for (int64_t i = 0; i < count; i++) {
    float d = g[i] + decay * x[i];
    norm += (double)x[i] * (double)x[i];
    change += (double)d * (double)d;
  }
  return (struct sums){norm, change};
}

CPU_CLONES static void update_part(float *x, const float *g, float *v, int64_t count, float lr,
                                   float momentum, float decay, float scale) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    v[i] = momentum * v[i] + scale * (g[i] + decay * x[i]);
    x[i] -= lr * v[i];
  }
}

static int64_t part_length(int64_t count, int64_t part, int64_t at) {
  return count - at < part ? count - at : part;
}

static float scale_of(const float *x, const float *g, int64_t count, int64_t part, const double *arg) {
  struct sums sums[N_PARTS] = {{0}};
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < count; at += part)
    sums[at / part] = sum_part(x + at, g + at, part_length(count, part, at), (float)arg[ARG_DECAY]);
  double norm = 0, change = 0;
  for (int i = 0; i < N_PARTS; i++) norm += sums[i].norm, change += sums[i].change;
  return norm > 0 && change > 0 ? (float)(arg[ARG_OWN + 1] * sqrt(norm) / sqrt(change)) : 1;
}

static enum status update(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                          const double *arg) {
  (void)device;
  float *x = theta, *v = state[0];
  const float *g = grad;
  int64_t count = (int64_t)(bytes / sizeof *x), part = (count + N_PARTS - 1) / N_PARTS;
  if (part < LEAST_PART) part = LEAST_PART;
  const float scale = arg[ARG_VECTOR] == 0 ? scale_of(x, g, count, part, arg) : 1;
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < count; at += part)
    update_part(x + at, g + at, v + at, part_length(count, part, at), (float)arg[ARG_RATE],
                (float)arg[ARG_OWN], (float)arg[ARG_DECAY], scale);
  return OK;
}

const struct kernel kernel_lars_cpu = {.op = "lars", .backend = "cpu", .update = update};
