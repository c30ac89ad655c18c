/* Moves the HSV hue by a fraction of the circle. */
#include "image/color.h"
#include "transform/op.h"

static const struct op_param params[] = {
    {"factor", "-0.5 to 0.5; 0: as it is", PARAM_NUMBER, -0.5, 0.5, .required = true}, {0}};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value, (void)crop;
  enum status st = canvas_load(canvas);
  if (st == OK) color_hue(&canvas->planes, (float)args->low[0]);
  return st;
}

const struct transform_op transform_op_hue = {.name = "hue",
                                              .summary = "hue moved by a fraction of the circle",
                                              .where = OP_IN_APPLY,
                                              .params = params,
                                              .apply = apply};
