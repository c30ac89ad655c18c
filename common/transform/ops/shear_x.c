/* Shows at (x, y) what was at (x + factor y, y). */
#include "transform/op.h"

static const struct op_param params[] = {
    {"factor", "columns to the left per row down", PARAM_RANGE, -2, 2, -0.3, 0.3}, {0}};
static const char *const labels[] = {"shear_x.factor", NULL};

static struct affine map(double factor, struct extent size) {
  (void)size;
  return affine_shear_x(factor);
}

const struct transform_op transform_op_shear_x = {.name = "shear_x",
                                                  .summary = "rows shifted in proportion to their height",
                                                  .where = OP_IN_POLICY | OP_IN_APPLY,
                                                  .params = params,
                                                  .labels = labels,
                                                  .n_values = 1,
                                                  .sample = op_sample_first,
                                                  .affine = map,
                                                  .label = op_label_value};
