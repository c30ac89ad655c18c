/* Shows at (x, y) what was at (x + pixels, y). */
#include "image/affine.h"
#include "transform/op.h"

static const struct op_param params[] = {
    {"pixels", "pixels to the left", PARAM_RANGE, -65535, 65535, .required = true}, {0}};
static const char *const labels[] = {"translate_x.pixels", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)crop;
  struct affine map = affine_translation((double)value[0], 0);
  return canvas_affine(canvas, &map);
}

const struct transform_op transform_op_translate_x = {.name = "translate_x",
                                                      .summary = "shifted to the left",
                                                      .where = OP_IN_POLICY | OP_IN_APPLY,
                                                      .params = params,
                                                      .labels = labels,
                                                      .n_values = 1,
                                                      .sample = op_sample_first,
                                                      .apply = apply,
                                                      .label = op_label_value};
