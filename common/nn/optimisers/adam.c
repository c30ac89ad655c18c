/* Adam (Kingma & Ba, "Adam: a method for stochastic optimization", algorithm 1), with weight decay in the
 * gradient, as PyTorch's Adam has it.
 *
 *   d = g + decay theta;  m <- beta1 m + (1 - beta1) d;  v <- beta2 v + (1 - beta2) d^2     (both start at 0)
 *   theta <- theta - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)             (t from 1) */
#include <math.h>

#include "nn/optimiser.h"

struct adam_options {
  double beta1, beta2, epsilon;
};
#define AT(member) offsetof(struct adam_options, member)
static const struct opt opts[] = {
    {"adam-beta1", OPT_FLOAT, AT(beta1), "0.9", "adam: how much of the mean gradient is kept"},
    {"adam-beta2", OPT_FLOAT, AT(beta2), "0.999", "adam: how much of the mean squared gradient is kept"},
    {"adam-epsilon", OPT_FLOAT, AT(epsilon), "1e-8", "adam: added to the root of the mean square"},
    {0}};
#undef AT

static bool is_part(double beta) { return beta >= 0 && beta < 1; }

static enum status check(const void *own) {
  const struct adam_options *o = own;
  if (!is_part(o->beta1)) return fail(E_ARG, "--adam-beta1: %g is not from 0 to below 1", o->beta1);
  if (!is_part(o->beta2)) return fail(E_ARG, "--adam-beta2: %g is not from 0 to below 1", o->beta2);
  return o->epsilon > 0 ? OK : fail(E_ARG, "--adam-epsilon: %g is not above 0", o->epsilon);
}

static void arguments(double *arg, const struct optimiser_config *c, int64_t t) {
  const struct adam_options *o = (const void *)c->own.bytes;
  arg[ARG_OWN] = o->beta1;
  arg[ARG_OWN + 1] = o->beta2;
  arg[ARG_OWN + 2] = o->epsilon;
  arg[ARG_OWN + 3] = 1 / (1 - pow(o->beta1, (double)t));
  arg[ARG_OWN + 4] = 1 / sqrt(1 - pow(o->beta2, (double)t));
}

const struct optimiser optimiser_adam = {.name = "adam",
                                         .summary = "rates of their own from mean squared gradients",
                                         .opts = opts,
                                         .check = check,
                                         .state = {"adam_mean", "adam_square"},
                                         .arguments = arguments};
