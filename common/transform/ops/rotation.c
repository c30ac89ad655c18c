/* Rotates about the centre by any angle. */
#include "transform/op.h"

static const struct op_param params[] = {
    {"angle", "degrees counterclockwise", PARAM_RANGE, -360, 360, -30, 30}, {0}};
static const char *const labels[] = {"rotation.angle", NULL};

static struct affine map(double angle, struct extent size) { return affine_rotation(size, angle); }

const struct transform_op transform_op_rotation = {.name = "rotation",
                                                   .summary =
                                                       "rotated about the centre, black where nothing is",
                                                   .where = OP_IN_POLICY | OP_IN_APPLY,
                                                   .params = params,
                                                   .labels = labels,
                                                   .n_values = 1,
                                                   .sample = op_sample_first,
                                                   .affine = map,
                                                   .label = op_label_value};
