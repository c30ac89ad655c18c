/* Stochastic gradient descent with momentum and weight decay, in PyTorch's form.
 *
 *   v <- momentum v + (g + decay theta);  theta <- theta - lr v     (v starts at 0) */
#include "nn/optimiser.h"

static void arguments(double *arg, const struct optimiser_config *c, int64_t t) {
  (void)t;
  arg[ARG_OWN] = c->momentum;
}

const struct optimiser optimiser_sgd = {.name = "sgd",
                                        .summary = "gradient descent with momentum",
                                        .state = {"momentum"},
                                        .arguments = arguments};
