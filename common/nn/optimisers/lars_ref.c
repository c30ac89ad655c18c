#include <math.h>

#include "nn/engine.h"
#include "nn/optimiser.h"

static enum status update(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                          const double *arg) {
  (void)device;
  double decay = arg[ARG_DECAY], *x = theta, *v = state[0], norm = 0, change = 0, scale = 1;
  const double *g = grad;
  const size_t n = bytes / sizeof *x;
  for (size_t i = 0; i < n; i++) {
    double d = g[i] + decay * x[i];
    norm += x[i] * x[i];
    change += d * d;
  }
  if (arg[ARG_VECTOR] == 0 && norm > 0 && change > 0) scale = arg[ARG_OWN + 1] * sqrt(norm) / sqrt(change);
  for (size_t i = 0; i < n; i++) {
    v[i] = arg[ARG_OWN] * v[i] + scale * (g[i] + decay * x[i]);
    x[i] -= arg[ARG_RATE] * v[i];
  }
  return OK;
}

const struct kernel kernel_lars_ref = {.op = "lars", .backend = "ref", .update = update};
