/* SimSiam (Chen & He, "Exploring simple Siamese representation learning", eq. 4; STL eq. 17-19): each side,
 * projected and predicted, shall point where the other's projection does, whose gradient is stopped.
 *
 *   L = -1/2 mean cos(h(g(a)), sg g(b)) - 1/2 mean cos(h(g(b)), sg g(a))
 *
 * The projectors end without BatchNorm, as the STL paper has it; with --simsiam-projector-bn they end with one, as
 * in AugSelf's code. The predictors' learning rate is constant. */
#include "nn/cosine_loss/cosine_loss.h"
#include "train/method.h"

struct simsiam_options {
  bool projector_bn;
};
static const struct opt opts[] = {{"simsiam-projector-bn", OPT_BOOL,
                                   offsetof(struct simsiam_options, projector_bn), NULL,
                                   "simsiam: projectors end with a BatchNorm"},
                                  {0}};

static struct value loss(struct step *s, const struct comparison *c, struct value *z) {
  const struct simsiam_options *o = base_own(s);
  *z = (o->projector_bn ? mlp_last_norm : mlp)(s->model, c->projector, c->widths, c->pairs, c->calls);
  struct value p = mlp_last_bias(s->model, c->predictor, &s->predictor, *z, c->calls);
  return cosine_loss(s->graph, p, swap_halves(s->graph, *z), 0, 1);
}

const struct base base_simsiam = {.name = "simsiam",
                                  .summary = "prediction of the other view, its gradient stopped",
                                  .opts = opts,
                                  .projector = "2048-2048",
                                  .trans_projector = "2048-2048",
                                  .predictor = "512-2048",
                                  .constant_predictor = true,
                                  .loss = loss};
