/* Gaussian blur with an odd kernel; sigma is drawn from a range. */
#include "image/blur.h"
#include "transform/op.h"

enum { KERNEL, SIGMA };

static const struct op_param params[] = {
    {"kernel", "taps per axis, odd", PARAM_INTEGER, 1, BLUR_MAX_KERNEL, .required = true},
    {"sigma", "standard deviation, pixels of the view", PARAM_RANGE, 0.01, 100, 0.1, 2},
    {0}};
static const char *const labels[] = {"blur.sigma", NULL};

static enum status check(const struct op_args *args) {
  return (int64_t)args->low[KERNEL] % 2 ? OK : fail(E_ARG, "kernel must be odd");
}

static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)site, (void)crop;
  value[0] = (float)op_uniform(args, SIGMA, rng);
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)crop;
  enum status st = canvas_load(canvas);
  struct planes before = canvas->planes;
  return st == OK ? blur_gaussian(canvas->work, &before, (int32_t)args->low[KERNEL], (double)value[0],
                                  &canvas->planes)
                  : st;
}

const struct transform_op transform_op_gaussian_blur = {.name = "gaussian_blur",
                                                        .summary = "Gaussian blur of random width",
                                                        .where = OP_IN_POLICY | OP_IN_APPLY,
                                                        .params = params,
                                                        .labels = labels,
                                                        .check = check,
                                                        .n_values = 1,
                                                        .sample = sample,
                                                        .apply = apply,
                                                        .label = op_label_value};
