/* Self-supervised Transformation Learning (STL, NeurIPS 2024).
 *
 * With x1 = t(x), x2 = t'(x), y = f(x), and (t, t') shared by the images 2p and 2p+1, partners pi(i) = i xor 1:
 *
 *   T12[i] = f_T(y1[i], y2[i])                the transformation from view 1 to view 2
 *   L_inv   = base(g_inv(y1), g_inv(y2))
 *   L_equi  = base(g_equi(y), g_equi(y^))     y^1[i] = phi(T21[pi(i)], y2[i]),  y^2[i] = phi(T12[pi(i)], y1[i])
 *   L_trans = base(g_trans(T of even images), g_trans(T of their partners))
 *
 * STL stops no gradient; a base may (BYOL's targets are its target networks' y and T). */
#include "nn/concat/concat.h"
#include "nn/gather_rows/gather_rows.h"
#include "train/method.h"

#include <stdlib.h>

/* T (T12; T21) -> (T21; T12) with every row exchanged for its partner's: what leads from (y2; y1) to (y1; y2). */
static struct value partners_back(struct graph *g, struct value t, int64_t n) {
  int32_t *row = malloc((size_t)(2 * n) * sizeof *row);
  if (!row) return graph_fail(g, E_MEMORY, "out of memory"), t;
  for (int64_t i = 0; i < n; i++) {
    row[i] = (int32_t)(n + (i ^ 1));
    row[n + i] = (int32_t)(i ^ 1);
  }
  struct value back = gather_rows(g, t, row, 2 * n);
  free(row);
  return back;
}

/* T (T12; T21) -> all even rows, then all odd ones: rows r and r + n belong to one pair of images. */
static struct value even_then_odd(struct graph *g, struct value t, int64_t n) {
  int32_t *row = malloc((size_t)(2 * n) * sizeof *row);
  if (!row) return graph_fail(g, E_MEMORY, "out of memory"), t;
  for (int64_t r = 0; r < n; r++) {
    row[r] = (int32_t)(2 * r);
    row[n + r] = (int32_t)(2 * r + 1);
  }
  struct value split = gather_rows(g, t, row, 2 * n);
  free(row);
  return split;
}

/* (T12; T21), by the trained networks or the target ones. */
static struct value transformations(const struct step *s, struct model *m, struct value y) {
  struct value pairs = concat(s->graph, 1, (struct value[]){y, swap_halves(s->graph, y)}, 2);
  return mlp(m, "trans_backbone", &s->trans_backbone, pairs, 2);
}

static void build(struct step *s) {
  struct graph *g = s->graph;
  int64_t n = s->batch;
  struct value y = features(s); /* (y1; y2) */
  if (step_wants(s, TERM_INV)) compare(s, TERM_INV, y, target_features(s), 2);
  if (!step_wants(s, TERM_EQUI) && !step_wants(s, TERM_TRANS)) return;

  struct value t = transformations(s, s->model, y);
  if (step_wants(s, TERM_EQUI)) {
    struct value predicted =
        hypernetwork(s->model, "equi_transform", partners_back(g, t, n), swap_halves(g, y));
    compare_prediction(s, TERM_EQUI, y, predicted, target_features(s));
  }
  if (step_wants(s, TERM_TRANS)) {
    struct value target = {0};
    if (s->target) target = even_then_odd(g, transformations(s, s->target, target_features(s)), n);
    compare(s, TERM_TRANS, even_then_odd(g, t, n), target, 2);
  }
}

const struct method method_stl = {.name = "stl",
                                  .summary = "invariance, equivariance and transformation learning",
                                  .weight = {1, 1, 0.2},
                                  .build = build};
