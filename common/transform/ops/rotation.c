/* Rotates about the centre by any angle. */
#include "image/affine.h"
#include "transform/op.h"

static const struct op_param params[] = {
    {"angle", "degrees counterclockwise", PARAM_RANGE, -360, 360, -30, 30}, {0}};
static const char *const labels[] = {"rotation.angle", NULL};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)crop;
  struct affine map = affine_rotation(canvas_size(canvas), (double)value[0]);
  return canvas_affine(canvas, &map);
}

const struct transform_op transform_op_rotation = {.name = "rotation",
                                                   .summary =
                                                       "rotated about the centre, black where nothing is",
                                                   .where = OP_IN_POLICY | OP_IN_APPLY,
                                                   .params = params,
                                                   .labels = labels,
                                                   .n_values = 1,
                                                   .sample = op_sample_first,
                                                   .apply = apply,
                                                   .label = op_label_value};
