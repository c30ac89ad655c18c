/* Flattens each channel's histogram, in 8 bits. */
#include "transform/op.h"

static const char *const labels[] = {"equalize", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)value, (void)crop;
  return canvas_lut_of(canvas, lut_equalize);
}

const struct transform_op transform_op_equalize = {.name = "equalize",
                                                   .summary = "each channel's histogram flattened, in 8 bits",
                                                   .where = OP_IN_POLICY | OP_IN_APPLY,
                                                   .labels = labels,
                                                   .apply = apply,
                                                   .label = op_label_applied};
