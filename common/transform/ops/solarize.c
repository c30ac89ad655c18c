/* Inverts the light values. A threshold up to 1 is one of the float pixels, compared and inverted in float; a
 * larger one is a grey level, compared and inverted in 8 bits (as torchvision takes it of the two kinds of
 * image). */
#include "transform/op.h"

static const struct op_param params[] = {
    {"threshold", "values from here on are inverted: up to 1 in [0,1], above that a grey level of 256",
     PARAM_RANGE, 0, 256, 0.5, 0.5},
    {0}};
static const char *const labels[] = {"solarize", NULL};

static enum status check(const struct op_args *args) {
  return args->low[0] > 1 || args->high[0] <= 1
             ? OK
             : fail(E_ARG, "threshold must be a range within [0, 1] or one of grey levels above 1");
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)crop;
  if (args->low[0] > 1) {
    struct lut lut;
    int whole = (int)value[0];
    lut_solarize(whole + ((float)whole < value[0]), &lut);
    return canvas_lut(canvas, &lut);
  }
  enum status st = canvas_load(canvas);
  if (st == OK) planes_solarize(&canvas->planes, value[0]);
  return st;
}

const struct transform_op transform_op_solarize = {.name = "solarize",
                                                   .summary = "the values from a threshold on inverted",
                                                   .where = OP_IN_POLICY | OP_IN_APPLY,
                                                   .params = params,
                                                   .labels = labels,
                                                   .n_values = 1,
                                                   .check = check,
                                                   .sample = op_sample_first,
                                                   .apply = apply,
                                                   .label = op_label_applied};
