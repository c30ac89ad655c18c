#include <math.h>

#include "nn/engine.h"
#include "nn/optimiser.h"

static enum status update(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                          const double *arg) {
  (void)device;
  const double beta1 = arg[ARG_OWN], beta2 = arg[ARG_OWN + 1], epsilon = arg[ARG_OWN + 2],
               rate = arg[ARG_RATE] * arg[ARG_OWN + 3], root_scale = arg[ARG_OWN + 4];
  double *x = theta, *m = state[0], *v = state[1];
  const double *g = grad;
  for (size_t i = 0; i < bytes / sizeof *x; i++) {
    double d = g[i] + arg[ARG_DECAY] * x[i];
    m[i] = beta1 * m[i] + (1 - beta1) * d;
    v[i] = beta2 * v[i] + (1 - beta2) * d * d;
    x[i] -= rate * m[i] / (sqrt(v[i]) * root_scale + epsilon);
  }
  return OK;
}

const struct kernel kernel_adam_ref = {.op = "adam", .backend = "ref", .update = update};
