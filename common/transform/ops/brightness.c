/* clamp(f x). */
#include "image/color.h"
#include "transform/op.h"

static const struct op_param params[] = {
    {"factor", "0: black, 1: as it is", PARAM_NUMBER, 0, 100, .required = true}, {0}};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value, (void)crop;
  enum status st = canvas_load(canvas);
  if (st == OK) color_brightness(&canvas->planes, (float)args->low[0]);
  return st;
}

const struct transform_op transform_op_brightness = {.name = "brightness",
                                                     .summary = "every value times a factor",
                                                     .where = OP_IN_APPLY,
                                                     .params = params,
                                                     .apply = apply};
