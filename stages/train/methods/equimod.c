/* EquiMod (Devillers & Lefort 2023) as the STL paper runs it: the explicit baseline, whose transformations are
 * known by their labels.
 *
 *   L_inv  = base(g_inv(y1), g_inv(y2))
 *   L_equi = base(g_equi(y), g_equi(y^))     y^1 = phi(l(2,1), y2),  y^2 = phi(l(1,2), y1),  l(a,b) = -d(a,b)
 *
 * phi is linear in the label: STL's hypernetwork with K = the label's length. */
#include "train/method.h"

static void build(struct step *s) {
  struct value y = features(s);
  if (step_wants(s, TERM_INV)) compare(s, TERM_INV, y, target_features(s), 2);
  if (!step_wants(s, TERM_EQUI)) return;
  struct value predicted = hypernetwork(s->model, "equi_transform", labels_back(s), swap_halves(s->graph, y));
  compare_prediction(s, TERM_EQUI, y, predicted, target_features(s));
}

const struct method method_equimod = {.name = "equimod",
                                      .summary = "invariance, and equivariance to labelled transformations",
                                      .weight = {1, 1, 0.2},
                                      .build = build};
