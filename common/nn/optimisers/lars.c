/* LARS (You et al., "Large batch training of convolutional networks"), as BYOL and Barlow Twins use it: every
 * weight tensor moves by an amount in proportion to its norm; biases and BatchNorm's parameters, which have one
 * dimension, follow plain SGD without decay, at a rate of their own if asked.
 *
 *   d = g + decay theta;  d <- d trust |theta| / |d|  (where both norms are above 0)
 *   v <- momentum v + d;  theta <- theta - lr v     (v starts at 0) */
#include "nn/optimiser.h"

struct lars_options {
  double trust, vector_rate;
};
#define AT(member) offsetof(struct lars_options, member)
static const struct opt opts[] = {
    {"lars-trust", OPT_FLOAT, AT(trust), "0.001",
     "lars: trust coefficient, the part of its norm that a weight moves by"},
    {"lars-vector-rate", OPT_FLOAT, AT(vector_rate), "1",
     "lars: learning rate of biases and BatchNorm's parameters, as a multiple of --lr"},
    {0}};
#undef AT

static enum status check(const void *own) {
  const struct lars_options *o = own;
  if (!(o->trust > 0)) return fail(E_ARG, "--lars-trust: %g is not above 0", o->trust);
  return o->vector_rate > 0 ? OK : fail(E_ARG, "--lars-vector-rate: %g is not above 0", o->vector_rate);
}

static double vector_rate(const void *own) { return ((const struct lars_options *)own)->vector_rate; }

static void arguments(double *arg, const struct optimiser_config *c, int64_t t) {
  const struct lars_options *o = (const void *)c->own.bytes;
  (void)t;
  arg[ARG_OWN] = c->momentum;
  arg[ARG_OWN + 1] = o->trust;
}

const struct optimiser optimiser_lars = {.name = "lars",
                                         .summary = "rates in proportion to the norms of the weights",
                                         .opts = opts,
                                         .check = check,
                                         .state = {"momentum"},
                                         .whole_tensors = true,
                                         .spares_vectors = true,
                                         .vector_rate = vector_rate,
                                         .arguments = arguments};
