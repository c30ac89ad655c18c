/* Resizes the shorter side to `size` pixels and cuts the central square: the view of evaluation. Only what
 * ends up in the square is computed, and only the source pixels that it depends on are needed. */
#include "transform/op.h"
#include "transform/short_side.h"

enum { SIZE, FILTER };

static const struct op_param params[] = {
    {"size", "width and height of the result, pixels", PARAM_SIZE, 1, POLICY_MAX_SIZE, .required = true},
    {"filter", "interpolation", PARAM_CHOICE, 0, 1, .choices = "bilinear|bicubic"},
    {0}};

static struct resize job(const struct op_args *args, struct extent in) {
  int32_t size = (int32_t)args->low[SIZE];
  struct extent out = short_side_extent(in, size);
  struct rect window = {short_side_offset(out.width, size), short_side_offset(out.height, size), size, size};
  return (struct resize){in, out, window, (enum filter)args->low[FILTER]};
}

static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)rng, (void)value;
  struct resize r = job(args, site->own);
  *crop = resize_needs(&r);
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)value, (void)crop;
  struct resize r = job(args, canvas_size(canvas));
  return canvas_resize(canvas, (struct rect){0, 0, r.in.width, r.in.height}, r.out, r.window, r.filter);
}

const struct transform_op transform_op_resize_short_center_crop = {
    .name = "resize_short_center_crop",
    .summary = "the shorter side resized to `size`, then the central square",
    .where = OP_IN_POLICY | OP_IN_APPLY,
    .opens = true,
    .params = params,
    .sample = sample,
    .apply = apply};
