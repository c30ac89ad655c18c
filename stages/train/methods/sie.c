/* SIE (Garrido et al., "Self-supervised learning of split invariant equivariant representations") as the STL
 * paper runs it: one half of the features is invariant, the other equivariant to labelled transformations.
 *
 *   y = (u, v) by columns
 *   L_inv  = base(g_inv(u1), g_inv(u2))
 *   L_equi = base(g_equi(v), g_equi(v^))     v^1 = phi(l(2,1), v2),  v^2 = phi(l(1,2), v1) */
#include "nn/columns/columns.h"
#include "train/method.h"

/* Half 0 or 1 of the columns; no value of no value. */
static struct value half(const struct step *s, struct value y, int which) {
  int64_t width = graph_shape(s->graph, y).dim[1] / 2;
  return y.id ? columns(s->graph, y, which * width, width) : y;
}

static void build(struct step *s) {
  struct value y = features(s);
  if (step_wants(s, TERM_INV)) compare(s, TERM_INV, half(s, y, 0), half(s, target_features(s), 0), 2);
  if (!step_wants(s, TERM_EQUI)) return;
  struct value v = half(s, y, 1);
  struct value predicted = hypernetwork(s->model, "equi_transform", labels_back(s), swap_halves(s->graph, v));
  compare_prediction(s, TERM_EQUI, v, predicted, half(s, target_features(s), 1));
}

const struct method method_sie = {.name = "sie",
                                  .summary =
                                      "one half invariant, one half equivariant to labelled transformations",
                                  .weight = {1, 1, 0.2},
                                  .build = build};
