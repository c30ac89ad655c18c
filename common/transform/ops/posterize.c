/* Keeps the highest bits of every 8-bit value. */
#include "transform/op.h"

static const struct op_param params[] = {
    {"bits", "highest bits of 8 that are kept", PARAM_INTEGER, 0, 8, .required = true}, {0}};
static const char *const labels[] = {"posterize", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value, (void)crop;
  struct lut lut;
  lut_posterize((int)args->low[0], &lut);
  return canvas_lut(canvas, &lut);
}

const struct transform_op transform_op_posterize = {.name = "posterize",
                                                    .summary = "only the highest bits kept, in 8 bits",
                                                    .where = OP_IN_POLICY | OP_IN_APPLY,
                                                    .params = params,
                                                    .labels = labels,
                                                    .apply = apply,
                                                    .label = op_label_applied};
