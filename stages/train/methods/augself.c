/* AugSelf (Lee et al., "Improving transferability of representations via augmentation-aware self-supervision"):
 * beside the base loss, heads tell from both views' features by how much their transformations differ.
 *
 *   L_equi = sum over kinds of mean l(head_kind([y1, y2]), d(1,2)) and of ([y2, y1]), d(2,1)
 *
 * l is (tanh p - d)^2 for crop, colour and blur, and for flips binary cross-entropy of "both or neither". */
#include "nn/bce_with_logits/bce_with_logits.h"
#include "nn/concat/concat.h"
#include "nn/tanh_mse/tanh_mse.h"
#include "nn/weighted_sum/weighted_sum.h"
#include "train/method.h"

struct augself_options {
  const char *head;
};
static const struct opt opts[] = {{"label-head", OPT_STR, offsetof(struct augself_options, head), "512-512",
                                   "augself: hidden layer widths of the heads that tell labels"},
                                  {0}};

static const struct {
  enum label kind, target;
  const char *head;
  struct value (*loss)(struct graph *g, struct value prediction, struct value target);
} parts[] = {{LABEL_CROP, LABEL_CROP, "crop_head", tanh_mse},
             {LABEL_COLOR, LABEL_COLOR, "color_head", tanh_mse},
             {LABEL_BLUR, LABEL_BLUR, "blur_head", tanh_mse},
             {LABEL_FLIP, LABEL_SAME, "flip_head", bce_with_logits}};
enum { N_PARTS = sizeof parts / sizeof *parts };

static struct value part_loss(struct step *s, int i, struct value y_pairs) {
  const struct augself_options *o = method_own(s);
  struct widths head;
  struct value target = label(s, parts[i].target);
  if (widths_parse(&head, o->head, "label-head") != OK ||
      !widths_add(&head, label_kinds[parts[i].target].count)) {
    graph_fail(s->graph, E_ARG, "--label-head: %s is not a list of layer widths", o->head);
    return target;
  }
  return parts[i].loss(s->graph, mlp_last_bias(s->model, parts[i].head, &head, y_pairs, 1), target);
}

static void build(struct step *s) {
  struct value y = features(s), losses[N_PARTS];
  if (step_wants(s, TERM_INV)) compare(s, TERM_INV, y, target_features(s), 2);
  if (!step_wants(s, TERM_EQUI)) return;
  if (s->label_kinds >> LABEL_GRAY & 1)
    graph_fail(s->graph, E_ARG, "--labels: augself does not predict gray");
  struct value y_pairs = concat(s->graph, 1, (struct value[]){y, swap_halves(s->graph, y)}, 2);
  int n = 0;
  for (int i = 0; i < N_PARTS; i++)
    if (s->label_kinds >> parts[i].kind & 1) losses[n++] = part_loss(s, i, y_pairs);
  s->loss[TERM_EQUI] = weighted_sum(s->graph, losses, (const double[N_PARTS]){1, 1, 1, 1}, n);
}

const struct method method_augself = {.name = "augself",
                                      .summary = "differences of the views' transformations predicted",
                                      .opts = opts,
                                      .weight = {1, 0.5, 0.2},
                                      .build = build};
