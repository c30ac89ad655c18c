/* SimCLR (Chen et al., "A simple framework for contrastive learning of visual representations", eq. 1; STL
 * eq. 10): InfoNCE between the projections of the two sides of every pair.
 *
 *   L = InfoNCE(g(a), g(b); temperature) */
#include "nn/info_nce/info_nce.h"
#include "train/method.h"

static struct value loss(struct step *s, const struct comparison *c, struct value *z) {
  struct graph *g = s->graph;
  *z = mlp(s->model, c->projector, c->widths, c->pairs, c->calls);
  int64_t m = graph_shape(g, *z).dim[0] / 2;
  return info_nce(g, rows(g, *z, 0, m), rows(g, *z, m, m), s->options.temperature);
}

const struct base base_simclr = {.name = "simclr",
                                 .summary = "contrastive: InfoNCE between two views",
                                 .projector = "512-512-128",
                                 .trans_projector = "128-128",
                                 .loss = loss};
