/* Shows at (x, y) what was at (x + pixels, y). */
#include "image/affine.h"
#include "transform/op.h"

static const struct op_param params[] = {
    {"pixels", "pixels to the left", PARAM_RANGE, -65535, 65535, .required = true}, {0}};
static const char *const labels[] = {"translate_x.pixels", NULL};

static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)site, (void)crop;
  value[0] = (float)op_uniform(args, 0, rng);
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)crop;
  struct affine map = affine_translation((double)value[0], 0);
  return canvas_affine(canvas, &map);
}

static void label(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                  float *out) {
  (void)args, (void)crop, (void)whole;
  out[0] = value[0];
}

const struct transform_op transform_op_translate_x = {.name = "translate_x",
                                                      .summary = "shifted to the left",
                                                      .where = OP_IN_POLICY | OP_IN_APPLY,
                                                      .params = params,
                                                      .labels = labels,
                                                      .n_values = 1,
                                                      .sample = sample,
                                                      .apply = apply,
                                                      .label = label};
