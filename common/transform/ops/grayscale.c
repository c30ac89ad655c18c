/* Every channel becomes the luma L = .2989 R + .587 G + .114 B. */
#include "image/color.h"
#include "transform/op.h"

static const char *const labels[] = {"gray", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)value, (void)crop;
  enum status st = canvas_load(canvas);
  if (st == OK) color_gray(&canvas->planes);
  return st;
}

const struct transform_op transform_op_grayscale = {.name = "grayscale",
                                                    .summary = "every channel becomes the luma",
                                                    .where = OP_IN_POLICY | OP_IN_APPLY,
                                                    .labels = labels,
                                                    .apply = apply,
                                                    .label = op_label_applied};
