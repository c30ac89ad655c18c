/* Shows at (x, y) what was at (x, y + factor x). */
#include "transform/op.h"

static const struct op_param params[] = {
    {"factor", "rows up per column to the right", PARAM_RANGE, -2, 2, -0.3, 0.3}, {0}};
static const char *const labels[] = {"shear_y.factor", NULL};

static struct affine map(double factor, struct extent size) {
  (void)size;
  return affine_shear_y(factor);
}

const struct transform_op transform_op_shear_y = {.name = "shear_y",
                                                  .summary = "columns shifted in proportion to their place",
                                                  .where = OP_IN_POLICY | OP_IN_APPLY,
                                                  .params = params,
                                                  .labels = labels,
                                                  .n_values = 1,
                                                  .sample = op_sample_first,
                                                  .affine = map,
                                                  .label = op_label_value};
