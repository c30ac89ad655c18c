/* A given part of the image, resized to size x size. */
#include "transform/op.h"

enum { TOP, LEFT, HEIGHT, WIDTH, SIZE, FILTER };

static const struct op_param params[] = {
    {"top", "first row, pixels", PARAM_INTEGER, 0, 65535, .required = true},
    {"left", "first column, pixels", PARAM_INTEGER, 0, 65535, .required = true},
    {"height", "rows", PARAM_INTEGER, 1, 65535, .required = true},
    {"width", "columns", PARAM_INTEGER, 1, 65535, .required = true},
    {"size", "width and height of the result, pixels", PARAM_SIZE, 1, POLICY_MAX_SIZE, .required = true},
    {"filter", "interpolation", PARAM_CHOICE, 0, 1, .choices = "bilinear|bicubic"},
    {0}};

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value;
  int32_t size = (int32_t)args->low[SIZE];
  crop = (struct rect){(int32_t)args->low[LEFT], (int32_t)args->low[TOP], (int32_t)args->low[WIDTH],
                       (int32_t)args->low[HEIGHT]};
  return canvas_resize(canvas, crop, (struct extent){size, size}, (struct rect){0, 0, size, size},
                       (enum filter)args->low[FILTER]);
}

const struct transform_op transform_op_resized_crop = {.name = "resized_crop",
                                                       .summary = "a given part of the image, resized",
                                                       .where = OP_IN_APPLY,
                                                       .params = params,
                                                       .apply = apply};
