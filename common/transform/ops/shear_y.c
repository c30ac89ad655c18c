/* Shows at (x, y) what was at (x, y + factor x). */
#include "image/affine.h"
#include "transform/op.h"

static const struct op_param params[] = {
    {"factor", "rows up per column to the right", PARAM_RANGE, -2, 2, -0.3, 0.3}, {0}};
static const char *const labels[] = {"shear_y.factor", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)crop;
  struct affine map = affine_shear_y((double)value[0]);
  return canvas_affine(canvas, &map);
}

const struct transform_op transform_op_shear_y = {.name = "shear_y",
                                                  .summary = "columns shifted in proportion to their place",
                                                  .where = OP_IN_POLICY | OP_IN_APPLY,
                                                  .params = params,
                                                  .labels = labels,
                                                  .n_values = 1,
                                                  .sample = op_sample_first,
                                                  .apply = apply,
                                                  .label = op_label_value};
