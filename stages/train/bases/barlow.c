/* Barlow Twins (Zbontar et al., "Self-supervised learning via redundancy reduction", eq. 1; STL eq. 20-22): the
 * features of the two sides, standardised over the batch, shall correlate one to one.
 *
 *   L = scale (sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2),  C the correlation of g(a) and g(b) */
#include "nn/barlow_loss/barlow_loss.h"
#include "nn/weighted_sum/weighted_sum.h"
#include "train/method.h"

struct barlow_options {
  double lambda, scale;
};
#define AT(member) offsetof(struct barlow_options, member)
static const struct opt opts[] = {
    {"barlow-lambda", OPT_FLOAT, AT(lambda), "0.0051", "barlow: weight of correlations between features"},
    {"barlow-scale", OPT_FLOAT, AT(scale), "0.024",
     "barlow: factor of the whole loss, which SGD needs small"},
    {0}};
#undef AT

static enum status check(const void *own) {
  const struct barlow_options *o = own;
  if (!(o->lambda >= 0)) return fail(E_ARG, "--barlow-lambda: %g is negative", o->lambda);
  if (!(o->scale > 0)) return fail(E_ARG, "--barlow-scale: %g is not above 0", o->scale);
  return OK;
}

static struct value loss(struct step *s, const struct comparison *c, struct value *z) {
  const struct barlow_options *o = base_own(s);
  struct graph *g = s->graph;
  *z = mlp(s->model, c->projector, c->widths, c->pairs, c->calls);
  int64_t m = graph_shape(g, *z).dim[0] / 2;
  struct value l = barlow_loss(g, rows(g, *z, 0, m), rows(g, *z, m, m), o->lambda);
  return weighted_sum(g, &l, &o->scale, 1);
}

const struct base base_barlow = {.name = "barlow",
                                 .summary = "cross-correlation close to the identity",
                                 .opts = opts,
                                 .check = check,
                                 .projector = "512-2048",
                                 .trans_projector = "512-2048",
                                 .loss = loss};
