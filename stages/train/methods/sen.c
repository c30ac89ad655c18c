/* SEN (Park et al., "Learning symmetric embeddings for equivariant world models") as the STL paper seems to run
 * it: equivariance to labelled transformations, and nothing else.
 *
 *   L_equi = base(g_equi(y), g_equi(y^))     y^1 = phi(l(2,1), y2),  y^2 = phi(l(1,2), y1)
 *
 * With --sen-invariance the invariance term is added, which makes it EquiMod. */
#include "train/method.h"

struct sen_options {
  bool invariance;
};
static const struct opt opts[] = {{"sen-invariance", OPT_BOOL, offsetof(struct sen_options, invariance), NULL,
                                   "sen: learn the invariance term, too, with weight --inv"},
                                  {0}};

static void build(struct step *s) {
  const struct sen_options *o = method_own(s);
  struct value y = features(s);
  if (o->invariance && step_wants(s, TERM_INV)) compare(s, TERM_INV, y, target_features(s), 2);
  if (!step_wants(s, TERM_EQUI)) return;
  struct value predicted = hypernetwork(s->model, "equi_transform", labels_back(s), swap_halves(s->graph, y));
  compare_prediction(s, TERM_EQUI, y, predicted, target_features(s));
}

const struct method method_sen = {.name = "sen",
                                  .summary = "equivariance to labelled transformations alone",
                                  .opts = opts,
                                  .weight = {1, 1, 0.2},
                                  .build = build};
