/* SimCLR (Chen et al., "A simple framework for contrastive learning of visual representations", eq. 1; STL
 * eq. 10): InfoNCE between the projections of the two sides of every pair. */
#include "nn/info_nce/info_nce.h"
#include "train/method.h"

static struct value loss(struct step *s, const char *head, const struct widths *widths, struct value pairs,
                         int calls) {
  struct graph *g = s->graph;
  struct value z = mlp(s->model, head, widths, pairs, calls);
  int64_t m = graph_shape(g, z).dim[0] / 2;
  return info_nce(g, rows(g, z, 0, m), rows(g, z, m, m), s->options.temperature);
}

const struct base base_simclr = {"simclr", "contrastive: InfoNCE between two views", loss};
