#include "nn/engine.h"

static enum status update(void *device, void *theta, const void *grad, void *state, size_t bytes,
                          const double *arg) {
  (void)device;
  double lr = arg[0], momentum = arg[1], decay = arg[2], *x = theta, *v = state;
  const double *g = grad;
  for (size_t i = 0; i < bytes / sizeof *x; i++) {
    v[i] = momentum * v[i] + (g[i] + decay * x[i]);
    x[i] -= lr * v[i];
  }
  return OK;
}

const struct kernel kernel_sgd_ref = {.op = "sgd", .backend = "ref", .update = update};
