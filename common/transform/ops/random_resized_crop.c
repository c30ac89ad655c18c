/* Crops a random part - area U(scale) of the image's, width/height exp(U(ln ratio)) - and resizes it to the
 * view's size with antialiased bilinear interpolation. Ten attempts, then the largest centred crop of an
 * allowed ratio.
 *
 * A pair of images of different size shares scale, ratio and the offsets as fractions of the free room; an
 * attempt counts only if it fits in both (methods section 7 (7)). */
#include <math.h> /* sqrt, which IEEE 754 makes exact */

#include "base/numeric.h"
#include "transform/op.h"

enum { SCALE, RATIO, SIZE, ATTEMPTS = 10 };

static const struct op_param params[] = {
    {"scale", "area of the crop as a fraction of the image's", PARAM_RANGE, 1e-4, 1, 0.2, 1},
    {"ratio", "width over height of the crop", PARAM_RANGE, 0.01, 100, 3.0 / 4, 4.0 / 3},
    {"size", "width and height of the result", PARAM_SIZE, 1, POLICY_MAX_SIZE},
    {0}};
static const char *const labels[] = {"crop.cy", "crop.cx", "crop.h", "crop.w", NULL};

struct box {
  double width, height; /* whole numbers */
};

static struct box box(struct extent e, double scale, double ratio) {
  double area = (double)e.width * e.height * scale;
  return (struct box){numeric_round(sqrt(area * ratio)), numeric_round(sqrt(area / ratio))};
}

static bool fits(struct box b, struct extent e) {
  return b.width > 0 && b.height > 0 && b.width <= e.width && b.height <= e.height;
}

static struct rect centred(struct extent e, double min_ratio, double max_ratio) {
  struct rect r = {.width = e.width, .height = e.height};
  double ratio = (double)e.width / e.height;
  if (ratio < min_ratio)
    r.height = (int32_t)numeric_round(e.width / min_ratio);
  else if (ratio > max_ratio)
    r.width = (int32_t)numeric_round(e.height * max_ratio);
  r.width = r.width > 0 ? r.width : 1;
  r.height = r.height > 0 ? r.height : 1;
  r.left = (e.width - r.width) / 2;
  r.top = (e.height - r.height) / 2;
  return r;
}

static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)value;
  double low = numeric_log(args->low[RATIO]), high = numeric_log(args->high[RATIO]);
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    double scale = op_uniform(args, SCALE, rng);
    double ratio = numeric_exp(low + rng_next_f64(rng) * (high - low));
    struct box b = box(site->own, scale, ratio);
    if (!fits(b, site->own) || !fits(box(site->partner, scale, ratio), site->partner)) continue;
    *crop = (struct rect){.width = (int32_t)b.width, .height = (int32_t)b.height};
    crop->top = (int32_t)(rng_next_f64(rng) * (site->own.height - crop->height + 1));
    crop->left = (int32_t)(rng_next_f64(rng) * (site->own.width - crop->width + 1));
    return;
  }
  *crop = centred(site->own, args->low[RATIO], args->high[RATIO]);
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value;
  int32_t size = (int32_t)args->low[SIZE];
  return canvas_resize(canvas, crop, (struct extent){size, size}, (struct rect){0, 0, size, size},
                       FILTER_BILINEAR);
}

static void label(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                  float *out) {
  (void)args, (void)value;
  out[0] = (float)((crop.top + crop.height / 2.0) / whole.height);
  out[1] = (float)((crop.left + crop.width / 2.0) / whole.width);
  out[2] = (float)((double)crop.height / whole.height);
  out[3] = (float)((double)crop.width / whole.width);
}

const struct transform_op transform_op_random_resized_crop = {
    .name = "random_resized_crop",
    .summary = "a random part of the image, resized to the view's size",
    .where = OP_IN_POLICY,
    .opens = true,
    .params = params,
    .labels = labels,
    .sample = sample,
    .apply = apply,
    .label = label};
