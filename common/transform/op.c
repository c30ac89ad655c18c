#include "transform/op.h"

#include <stdio.h>
#include <string.h>

const struct transform_op *transform_op_find(const char *name, int where) {
  char list[512] = "";
  size_t used = 0;
  for (const struct transform_op *const *op = transform_op_registry; *op; op++) {
    if (!((*op)->where & where)) continue;
    if (strcmp((*op)->name, name) == 0) return *op;
    if (used < sizeof list)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", (*op)->name);
  }
  fail(E_ARG, "there is no operation '%.64s'; it must be one of %s", name, list);
  return NULL;
}

double op_uniform(const struct op_args *args, int i, struct rng *rng) {
  return args->low[i] + rng_next_f64(rng) * (args->high[i] - args->low[i]);
}

void op_sample_first(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                     struct rect *crop) {
  (void)site, (void)crop;
  value[0] = (float)op_uniform(args, 0, rng);
}

void op_label_value(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                    float *labels) {
  (void)args, (void)crop, (void)whole;
  labels[0] = value[0];
}

void op_label_applied(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                      float *labels) {
  (void)args, (void)value, (void)crop, (void)whole;
  labels[0] = 1;
}

int op_choice(const char *choices, const char *text) {
  size_t n = strlen(text);
  for (int i = 0;; i++) {
    size_t m = strcspn(choices, "|");
    if (m == n && strncmp(choices, text, n) == 0) return i;
    if (!choices[m]) return -1;
    choices += m + 1;
  }
}

enum status op_param_check(const struct op_param *param, double low, double high) {
  if (!(low >= param->min && high <= param->max))
    return fail(E_ARG, "must lie between %.6g and %.6g", param->min, param->max);
  if (!(low <= high)) return fail(E_ARG, "the range's first number must not be greater than its second");
  if ((param->kind == PARAM_INTEGER || param->kind == PARAM_SIZE) && low != (double)(int64_t)low)
    return fail(E_ARG, "must be a whole number");
  return OK;
}

void op_defaults(const struct transform_op *op, int32_t size, struct op_args *args) {
  *args = (struct op_args){0};
  for (int i = 0; op->params && op->params[i].name; i++) {
    bool is_size = op->params[i].kind == PARAM_SIZE;
    args->low[i] = is_size ? size : op->params[i].low;
    args->high[i] = is_size ? size : op->params[i].high;
  }
}

struct extent canvas_size(const struct canvas *canvas) {
  return canvas->source ? canvas->source->whole
                        : (struct extent){canvas->planes.width, canvas->planes.height};
}

static enum status check_cover(struct rect have, struct rect need) {
  if (have.left <= need.left && have.top <= need.top &&
      (int64_t)have.left + have.width >= (int64_t)need.left + need.width &&
      (int64_t)have.top + have.height >= (int64_t)need.top + need.height)
    return OK;
  return fail(E_ARG, "pixels %d,%d to %d,%d are needed, but the image has %d,%d to %d,%d", need.left,
              need.top, need.left + need.width, need.top + need.height, have.left, have.top,
              have.left + have.width, have.top + have.height);
}

enum status canvas_load(struct canvas *canvas) {
  if (!canvas->source) return OK;
  const struct source *s = canvas->source;
  enum status st = OK;
  TRY(check_cover(s->region, (struct rect){0, 0, s->whole.width, s->whole.height}));
  TRY(workspace_planes(canvas->work, s->whole.width, s->whole.height, &canvas->planes));
  planes_from_rgb8(&canvas->planes, s->pixels, 3 * (size_t)s->region.width);
  workspace_flip(canvas->work);
  canvas->source = NULL;
out:
  return st;
}

enum status canvas_resize(struct canvas *canvas, struct rect crop, struct extent out, struct rect window,
                          enum filter filter) {
  const struct source *s = canvas->source;
  struct rect have = s ? s->region : (struct rect){0, 0, canvas->planes.width, canvas->planes.height};
  struct resize job = {{crop.width, crop.height}, out, window, filter};
  if (crop.width < 1 || crop.height < 1)
    return fail(E_ARG, "a crop of %d x %d pixels is empty", crop.width, crop.height);
  if (s && s->shrink > 1) {
    if (filter != FILTER_BILINEAR) return fail(E_ARG, "bicubic interpolation of pixels scaled by the DCT");
    job.shrink = s->shrink;
    job.phase.left = crop.left % s->shrink;
    job.phase.top = crop.top % s->shrink;
    crop.left /= s->shrink;
    crop.top /= s->shrink;
  }
  struct rect need = resize_needs(&job);
  need.left += crop.left;
  need.top += crop.top;
  enum status st = OK;
  TRY(check_cover(have, need));
  have.left -= crop.left;
  have.top -= crop.top;
  struct planes before = canvas->planes;
  TRY(s ? resize_rgb8(canvas->work, &job, s->pixels, have, &canvas->planes)
        : resize_planes(canvas->work, &job, &before, have, &canvas->planes));
  canvas->source = NULL;
out:
  return st;
}

enum status canvas_lut(struct canvas *canvas, const struct lut *lut) {
  enum status st = canvas_load(canvas);
  for (int c = 0; st == OK && c < 3; c++) planes_lut(&canvas->planes, c, lut);
  return st;
}

enum status canvas_lut_of(struct canvas *canvas, void (*lut_of)(const struct histogram *h, struct lut *out)) {
  enum status st = canvas_load(canvas);
  for (int c = 0; st == OK && c < 3; c++) {
    struct histogram h;
    struct lut lut;
    planes_histogram(&canvas->planes, c, &h);
    lut_of(&h, &lut);
    planes_lut(&canvas->planes, c, &lut);
  }
  return st;
}

enum status op_apply(const struct transform_op *op, const struct op_args *args, const float *value,
                     struct rect crop, struct canvas *canvas) {
  if (!op->affine) return op->apply(args, value, crop, canvas);
  enum status st = canvas_load(canvas);
  if (st != OK) return st;
  const struct planes before = canvas->planes;
  const struct affine map = op->affine((double)value[0], canvas_size(canvas));
  return affine_planes(canvas->work, &before, &map, &canvas->planes);
}
