/* AugMix: `width` chains of one to three of nine operations, mixed with each other and with the image. Draws
 * in order: the weights, Dirichlet(alpha, ..., alpha), and m, Beta(alpha, alpha), both as normalised Gammas,
 * which for a whole alpha are sums of exponentials; then per chain its depth and three operations (also those
 * beyond its depth): kind, level u from U(0.1, severity), sign. */
#include <stdio.h>

#include "base/numeric.h"
#include "image/augmix.h"
#include "transform/op.h"

enum { WIDTH, SEVERITY, ALPHA, SIZE };

static const struct op_param params[] = {
    {"width", "chains", PARAM_INTEGER, 1, AUGMIX_MAX_WIDTH, 3, 3},
    {"severity", "levels are drawn between 0.1 and this", PARAM_NUMBER, 0.1, 10, 3, 3},
    {"alpha", "concentration of the weights and of m", PARAM_INTEGER, 1, 64, 1, 1},
    {"size", "width and height of the view", PARAM_SIZE, 1, POLICY_MAX_SIZE},
    {0}};
static const char *const labels[] = {"augmix.m", NULL};

/* value: m, then chain after chain (also those beyond `width`) its weight, depth, and kind and magnitude of its
 * operations. */
enum { PER_CHAIN = 2 + 2 * AUGMIX_MAX_DEPTH, N_VALUES = 1 + AUGMIX_MAX_WIDTH * PER_CHAIN };

static double gamma_draw(int shape, struct rng *rng) {
  double sum = 0;
  for (int i = 0; i < shape; i++) sum -= numeric_log(1 - rng_next_f64(rng));
  return sum;
}

/* Level u, on a scale to 10, as the reference gives it to each operation. */
static double magnitude(enum augmix_kind kind, double u, bool negative, double size) {
  int sign = negative ? -1 : 1;
  switch (kind) {
  case AUGMIX_POSTERIZE: return 4 - (int)(u * 4 / 10);
  case AUGMIX_SOLARIZE: return 256 - (int)(u * 256 / 10);
  case AUGMIX_ROTATE: return sign * (int)(u * 30 / 10);
  case AUGMIX_SHEAR_X:
  case AUGMIX_SHEAR_Y: return sign * (u * 0.3 / 10);
  case AUGMIX_TRANSLATE_X:
  case AUGMIX_TRANSLATE_Y: return sign * (int)(u * (size / 3) / 10);
  default: return 0;
  }
}

static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)site, (void)crop;
  int width = (int)args->low[WIDTH], alpha = (int)args->low[ALPHA];
  double weight[AUGMIX_MAX_WIDTH], sum = 0;
  for (int k = 0; k < width; k++) sum += weight[k] = gamma_draw(alpha, rng);
  double a = gamma_draw(alpha, rng), b = gamma_draw(alpha, rng);
  *value++ = (float)(a / (a + b));
  for (int k = 0; k < width; k++) {
    *value++ = (float)(weight[k] / sum);
    *value++ = (float)(1 + rng_below(rng_next(rng), AUGMIX_MAX_DEPTH));
    for (int i = 0; i < AUGMIX_MAX_DEPTH; i++) {
      enum augmix_kind kind = (enum augmix_kind)rng_below(rng_next(rng), AUGMIX_KINDS);
      double u = 0.1 + rng_next_f64(rng) * (args->low[SEVERITY] - 0.1);
      bool negative = rng_next(rng) >> 31;
      *value++ = (float)kind;
      *value++ = (float)magnitude(kind, u, negative, args->low[SIZE]);
    }
  }
}

static struct augmix mixture(const struct op_args *args, const float *value) {
  struct augmix mix = {.m = *value++, .width = (int)args->low[WIDTH]};
  for (int k = 0; k < mix.width; k++) {
    struct augmix_chain *chain = &mix.chain[k];
    chain->weight = *value++;
    chain->depth = (int)*value++;
    for (int i = 0; i < AUGMIX_MAX_DEPTH; i++, value += 2)
      chain->op[i] = (struct augmix_op){(enum augmix_kind)value[0], value[1]};
  }
  return mix;
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)crop;
  struct augmix mix = mixture(args, value);
  enum status st = canvas_load(canvas);
  return st == OK ? augmix_apply(canvas->work, &mix, &canvas->planes) : st;
}

/* m, then a line per chain: its weight and operations. */
static void describe(const struct op_args *args, const float *value, char *text, size_t size) {
  static const char *const names[AUGMIX_KINDS] = {"autocontrast", "equalize",    "posterize",
                                                  "solarize",     "rotate",      "shear_x",
                                                  "shear_y",      "translate_x", "translate_y"};
  struct augmix mix = mixture(args, value);
  size_t used = (size_t)snprintf(text, size, "augmix.m=%.3g", (double)mix.m);
  for (int k = 0; k < mix.width && used < size; k++) {
    const struct augmix_chain *chain = &mix.chain[k];
    used += (size_t)snprintf(text + used, size - used, "\n  %.2f:", (double)chain->weight);
    for (int i = 0; i < chain->depth && used < size; i++) {
      const struct augmix_op *op = &chain->op[i];
      used += (size_t)snprintf(text + used, size - used, " %s", names[op->kind]);
      if (op->kind > AUGMIX_EQUALIZE && used < size)
        used += (size_t)snprintf(text + used, size - used, "=%.3g", (double)op->magnitude);
    }
  }
}

const struct transform_op transform_op_augmix = {.name = "augmix",
                                                 .summary = "a mixture of chains of operations (AugMix)",
                                                 .where = OP_IN_POLICY,
                                                 .params = params,
                                                 .labels = labels,
                                                 .n_values = N_VALUES,
                                                 .sample = sample,
                                                 .apply = apply,
                                                 .label = op_label_value,
                                                 .describe = describe};
