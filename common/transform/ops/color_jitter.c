/* Brightness, contrast, saturation and hue by random factors in random order: factors U(1-s, 1+s), hue U(-s,
 * s). */
#include <stdio.h>

#include "image/color.h"
#include "transform/op.h"

enum { BRIGHTNESS, CONTRAST, SATURATION, HUE, KINDS };

static const struct op_param params[] = {
    {"brightness", "factor within 1 +- this", PARAM_STRENGTH, 0, 1, 0.4, 0.4},
    {"contrast", "factor within 1 +- this", PARAM_STRENGTH, 0, 1, 0.4, 0.4},
    {"saturation", "factor within 1 +- this", PARAM_STRENGTH, 0, 1, 0.4, 0.4},
    {"hue", "turn within +- this, of the circle", PARAM_STRENGTH, 0, 0.5, 0.1, 0.1},
    {0}};
static const enum color_kind kinds[KINDS] = {COLOR_BRIGHTNESS, COLOR_CONTRAST, COLOR_SATURATION, COLOR_HUE};
static const char *const labels[] = {"color.brightness", "color.contrast", "color.saturation", "color.hue",
                                     NULL};

/* value[0..3]: the kinds in order of application; value[4..7]: the factor of each kind. */
static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)site, (void)crop;
  for (int k = 0; k < KINDS; k++) value[k] = (float)k;
  for (uint32_t k = KINDS - 1; k > 0; k--) {
    uint32_t j = rng_below(rng_next(rng), k + 1);
    float swap = value[k];
    value[k] = value[j];
    value[j] = swap;
  }
  for (int k = 0; k < KINDS; k++) {
    double u = 2 * rng_next_f64(rng) - 1;
    value[KINDS + k] = (float)((k == HUE ? 0 : 1) + u * args->low[k]);
  }
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)crop;
  enum status st = canvas_load(canvas);
  if (st != OK) return st;
  struct color_step steps[KINDS];
  for (int i = 0; i < KINDS; i++) {
    int kind = (int)value[i];
    steps[i] = (struct color_step){kinds[kind], value[KINDS + kind]};
  }
  color_chain(&canvas->planes, steps, KINDS);
  return OK;
}

/* Divided by the width of the range: each within +-1/2, zero where nothing is drawn. */
static void label(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                  float *out) {
  (void)crop, (void)whole;
  for (int k = 0; k < KINDS; k++) {
    double centre = k == HUE ? 0 : 1, width = 2 * args->low[k];
    out[k] = width > 0 ? (float)(((double)value[KINDS + k] - centre) / width) : 0;
  }
}

static void describe(const struct op_args *args, const float *value, char *text, size_t size) {
  static const char *const names[KINDS] = {"brightness", "contrast", "saturation", "hue"};
  (void)args;
  size_t used = 0;
  for (int i = 0; i < KINDS && used < size; i++) {
    int kind = (int)value[i];
    used += (size_t)snprintf(text + used, size - used, "%s%s=%.3g", i ? " " : "", names[kind],
                             (double)value[KINDS + kind]);
  }
}

const struct transform_op transform_op_color_jitter = {
    .name = "color_jitter",
    .summary = "brightness, contrast, saturation and hue by random factors, in random order",
    .where = OP_IN_POLICY,
    .params = params,
    .labels = labels,
    .n_values = 2 * KINDS,
    .sample = sample,
    .apply = apply,
    .label = label,
    .describe = describe};
