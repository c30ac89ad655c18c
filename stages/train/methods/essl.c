/* E-SSL (Dangovski et al., "Equivariant contrastive learning"): beside the base loss, the network shall tell by
 * how many quarter turns a third, smaller view was rotated.
 *
 *   L_equi = mean over 4N of CE(head(f(rotate_k(x3))), k)
 *
 * The rotated images are a backbone call of their own. */
#include <stdlib.h>

#include "model/backbone.h"
#include "nn/cross_entropy/cross_entropy.h"
#include "nn/rotations/rotations.h"
#include "train/method.h"

struct essl_options {
  const char *head;
};
static const struct opt opts[] = {{"rotation-head", OPT_STR, offsetof(struct essl_options, head), "2048-2048",
                                   "essl: hidden layer widths of the head that tells rotations apart"},
                                  {0}};

static struct value rotation_loss(struct step *s, struct value logits) {
  int32_t *turns = malloc((size_t)(N_ROTATIONS * s->batch) * sizeof *turns);
  if (!turns) return graph_fail(s->graph, E_MEMORY, "out of memory"), logits;
  for (int64_t i = 0; i < N_ROTATIONS * s->batch; i++) turns[i] = (int32_t)(i / s->batch);
  struct value loss = cross_entropy(s->graph, logits, turns);
  free(turns);
  return loss;
}

static void build(struct step *s) {
  const struct essl_options *o = method_own(s);
  if (step_wants(s, TERM_INV)) {
    struct value y = features(s);
    compare(s, TERM_INV, y, target_features(s), 2);
  }
  if (!step_wants(s, TERM_EQUI)) return;
  struct widths head;
  if (widths_parse(&head, o->head, "rotation-head") != OK || !widths_add(&head, N_ROTATIONS)) {
    graph_fail(s->graph, E_ARG, "--rotation-head: %s is not a list of layer widths", o->head);
    return;
  }
  struct value turned = backbone(s->model, rotations(s->graph, third_view(s)), 1);
  s->loss[TERM_EQUI] = rotation_loss(s, mlp_layer_norm(s->model, "rotation_head", &head, turned));
}

const struct method method_essl = {.name = "essl",
                                   .summary = "rotations of a third view told apart",
                                   .opts = opts,
                                   .weight = {1, 0.5, 0.2},
                                   .build = build};
