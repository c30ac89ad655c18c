#include "nn/engine.h"
#include "nn/optimiser.h"

static enum status update(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                          const double *arg) {
  (void)device;
  double lr = arg[ARG_RATE], momentum = arg[ARG_OWN], decay = arg[ARG_DECAY], *x = theta, *v = state[0];
  const double *g = grad;
  for (size_t i = 0; i < bytes / sizeof *x; i++) {
    v[i] = momentum * v[i] + (g[i] + decay * x[i]);
    x[i] -= lr * v[i];
  }
  return OK;
}

const struct kernel kernel_sgd_ref = {.op = "sgd", .backend = "ref", .update = update};
