/* The base loss alone: both views of an image shall have the same representation. */
#include "train/method.h"

static void build(struct step *s) {
  struct value y = features(s);
  if (step_wants(s, TERM_INV)) compare(s, TERM_INV, y, target_features(s), 2);
}

const struct method method_none = {
    .name = "none", .summary = "the base loss alone", .weight = {1, 1, 0.2}, .build = build};
