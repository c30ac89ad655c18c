/* Flattens each channel's histogram, in 8 bits. */
#include "image/lut.h"
#include "transform/op.h"

static const char *const labels[] = {"equalize", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)value, (void)crop;
  enum status st = canvas_load(canvas);
  for (int c = 0; st == OK && c < 3; c++) {
    struct histogram h;
    struct lut lut;
    planes_histogram(&canvas->planes, c, &h);
    lut_equalize(&h, &lut);
    planes_lut(&canvas->planes, c, &lut);
  }
  return st;
}

const struct transform_op transform_op_equalize = {.name = "equalize",
                                                   .summary = "each channel's histogram flattened, in 8 bits",
                                                   .where = OP_IN_POLICY | OP_IN_APPLY,
                                                   .labels = labels,
                                                   .apply = apply,
                                                   .label = op_label_applied};
