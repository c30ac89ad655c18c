/* Shows at (x, y) what was at (x, y + pixels). */
#include "transform/op.h"

static const struct op_param params[] = {
    {"pixels", "pixels up", PARAM_RANGE, -65535, 65535, .required = true}, {0}};
static const char *const labels[] = {"translate_y.pixels", NULL};

static struct affine map(double pixels, struct extent size) {
  (void)size;
  return affine_translation(0, pixels);
}

const struct transform_op transform_op_translate_y = {.name = "translate_y",
                                                      .summary = "shifted up",
                                                      .where = OP_IN_POLICY | OP_IN_APPLY,
                                                      .params = params,
                                                      .labels = labels,
                                                      .n_values = 1,
                                                      .sample = op_sample_first,
                                                      .affine = map,
                                                      .label = op_label_value};
