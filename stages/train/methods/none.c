/* The base loss alone: both views of an image shall have the same representation. */
#include "model/backbone.h"
#include "train/method.h"

static void build(struct step *s) {
  struct value y = backbone(s->model, s->views, 2);
  if (step_wants(s, TERM_INV)) s->loss[TERM_INV] = s->base->loss(s, "inv_projector", &s->projector, y, 2);
}

const struct method method_none = {"none", "the base loss alone", build};
