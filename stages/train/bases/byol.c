/* BYOL (Grill et al., "Bootstrap your own latent", eq. 2; STL eq. 14-16): online features, projected and
 * predicted, shall point where the target networks' projections do, for both directions of every pair.
 *
 *   L = mean(2 - 2 cos(q(g(a)), g_xi(b_xi))) + mean(2 - 2 cos(q(g(b)), g_xi(a_xi)))
 *
 * Where b predicts a, there is one direction per row, q(g(b)) to g_xi(a_xi), summed over the views. The target
 * networks are slow copies of the online ones; no gradient reaches them. */
#include <math.h>

#include "nn/cosine_loss/cosine_loss.h"
#include "train/method.h"

struct byol_options {
  double momentum;
};
static const struct opt opts[] = {{"target-momentum", OPT_FLOAT, offsetof(struct byol_options, momentum),
                                   "0.996", "byol: momentum of the target networks at the start; rises to 1"},
                                  {0}};

static enum status check(const void *own) {
  const struct byol_options *o = own;
  return o->momentum >= 0 && o->momentum <= 1
             ? OK
             : fail(E_ARG, "--target-momentum: %g is not from 0 to 1", o->momentum);
}

static struct value loss(struct step *s, const struct comparison *c, struct value *z) {
  struct graph *g = s->graph;
  int64_t m = graph_shape(g, c->pairs).dim[0] / 2;
  struct value online = c->prediction ? rows(g, c->pairs, m, m) : c->pairs;
  int calls = c->prediction ? c->calls / 2 : c->calls;
  *z = mlp_last_bias(s->model, c->projector, c->widths, online, calls);
  struct value p = mlp_last_bias(s->model, c->predictor, &s->predictor, *z, calls);
  struct value target = mlp_last_bias(s->target, c->projector, c->widths, c->target, calls);
  /* Two means of 2 - 2 cos over half the rows each are 4 - 4 cos over all of them. */
  return cosine_loss(g, p, c->prediction ? target : swap_halves(g, target), 4, 4);
}

/* m = 1 - (1 - m0) (cos(pi e / E) + 1) / 2 */
static double target_momentum(const void *own, int64_t epoch, int64_t epochs) {
  const struct byol_options *o = own;
  return 1 - (1 - o->momentum) * (cos(acos(-1.0) * (double)epoch / (double)epochs) + 1) / 2;
}

const struct base base_byol = {.name = "byol",
                               .summary = "prediction of slow target networks",
                               .opts = opts,
                               .check = check,
                               .projector = "4096-256",
                               .trans_projector = "4096-256",
                               .predictor = "4096-256",
                               .loss = loss,
                               .target_momentum = target_momentum};
