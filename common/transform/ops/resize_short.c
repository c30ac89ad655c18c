/* Resizes so that the shorter side has `size` pixels and the longer trunc(size * long / short). */
#include "transform/op.h"
#include "transform/short_side.h"

enum { SIZE, FILTER };

static const struct op_param params[] = {
    {"size", "pixels of the shorter side", PARAM_SIZE, 1, POLICY_MAX_SIZE, .required = true},
    {"filter", "interpolation", PARAM_CHOICE, 0, 1, .choices = "bilinear|bicubic"},
    {0}};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value, (void)crop;
  struct extent in = canvas_size(canvas), out = short_side_extent(in, (int32_t)args->low[SIZE]);
  return canvas_resize(canvas, (struct rect){0, 0, in.width, in.height}, out,
                       (struct rect){0, 0, out.width, out.height}, (enum filter)args->low[FILTER]);
}

const struct transform_op transform_op_resize_short = {.name = "resize_short",
                                                       .summary = "the shorter side resized to `size`",
                                                       .where = OP_IN_APPLY,
                                                       .params = params,
                                                       .apply = apply};
