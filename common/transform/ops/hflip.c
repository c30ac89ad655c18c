/* Mirrors left and right. */
#include "transform/op.h"

static const char *const labels[] = {"flip", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)value, (void)crop;
  enum status st = canvas_load(canvas);
  if (st == OK) planes_hflip(&canvas->planes);
  return st;
}

const struct transform_op transform_op_hflip = {.name = "hflip",
                                                .summary = "left and right swapped",
                                                .where = OP_IN_POLICY | OP_IN_APPLY,
                                                .labels = labels,
                                                .apply = apply,
                                                .label = op_label_applied};
