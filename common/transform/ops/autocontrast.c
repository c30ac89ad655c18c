/* Stretches each channel, in 8 bits, so that its darkest value becomes 0 and its lightest 255. */
#include "transform/op.h"

static const char *const labels[] = {"autocontrast", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)value, (void)crop;
  return canvas_lut_of(canvas, lut_autocontrast);
}

const struct transform_op transform_op_autocontrast = {
    .name = "autocontrast",
    .summary = "each channel stretched to the whole range, in 8 bits",
    .where = OP_IN_POLICY | OP_IN_APPLY,
    .labels = labels,
    .apply = apply,
    .label = op_label_applied};
