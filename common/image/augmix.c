#include "image/augmix.h"

#include <stdbool.h>
#include <string.h>

#include "image/affine.h"
#include "image/augmix_simd.h"
#include "image/lut.h"

/* A chain under way: an image and tables that are still to be applied to it. Operations on grey levels only
 * extend the tables - also their histograms follow from the image's - and moving pixels needs the levels, so
 * the tables are applied before it. */
struct link {
  const struct words *image;
  struct lut lut[3];
  bool pending; /* the tables are not the identity */
  struct histogram histogram[3];
  bool counted; /* histogram is the image's */
};

static void row_histogram(const uint32_t *row, int32_t n, struct histogram h[2][3]) {
  for (int32_t x = 0; x < n; x++) /* neighbours are often alike: two sets, so that they do not wait */
    for (int c = 0; c < 3; c++) h[x & 1][c].count[row[x] >> 8 * c & 255]++;
}

static void count_levels(struct link *l) {
  if (l->counted) return;
  struct histogram h[2][3];
  memset(h, 0, sizeof h);
  for (int32_t y = 0; y < l->image->height; y++)
    row_histogram(l->image->at + y * l->image->stride, l->image->width, h);
  for (int c = 0; c < 3; c++)
    for (int v = 0; v < 256; v++) l->histogram[c].count[v] = h[0][c].count[v] + h[1][c].count[v];
  l->counted = true;
}

/* `base` is the link that every chain starts from: its histogram serves them all. */
static void change_levels(struct link *l, const struct augmix_op *op, struct link *base) {
  bool adaptive = op->kind == AUGMIX_AUTOCONTRAST || op->kind == AUGMIX_EQUALIZE;
  if (adaptive && !l->counted && l->image == base->image) {
    count_levels(base);
    memcpy(l->histogram, base->histogram, sizeof l->histogram);
    l->counted = true;
  }
  if (adaptive) count_levels(l);
  for (int c = 0; c < 3; c++) {
    struct lut next;
    struct histogram h;
    if (adaptive) lut_histogram(&l->lut[c], &l->histogram[c], &h);
    switch (op->kind) {
    case AUGMIX_AUTOCONTRAST: lut_autocontrast(&h, &next); break;
    case AUGMIX_EQUALIZE: lut_equalize(&h, &next); break;
    case AUGMIX_POSTERIZE: lut_posterize((int)op->magnitude, &next); break;
    default: lut_solarize((int)op->magnitude, &next);
    }
    lut_append(&l->lut[c], &next);
  }
  l->pending = true;
}

static void start(struct link *l, const struct words *image) {
  *l = (struct link){.image = image};
  for (int c = 0; c < 3; c++) lut_identity(&l->lut[c]);
}

/* Applies the tables, into `spare`. */
static void settle(struct link *l, const struct words *spare) {
  if (!l->pending) return;
  const struct words *in = l->image;
  for (int32_t y = 0; y < in->height; y++)
    augmix_lookup(in->at + y * in->stride, (size_t)in->width, l->lut, spare->at + y * spare->stride);
  start(l, spare);
}

static struct affine map_of(const struct augmix_op *op, struct extent size) {
  double x = (double)op->magnitude;
  switch (op->kind) {
  case AUGMIX_ROTATE: return affine_rotation(size, x);
  case AUGMIX_SHEAR_X: return affine_shear_x(x);
  case AUGMIX_SHEAR_Y: return affine_shear_y(x);
  case AUGMIX_TRANSLATE_X: return affine_translation(x, 0);
  default: return affine_translation(0, x);
  }
}

static const struct words *other(const struct words *image, const struct words spare[2]) {
  return image == &spare[0] ? &spare[1] : &spare[0];
}

/* The chain's image: base's, which stays as it is, or one of `spare`. */
static const struct words *run_chain(const struct augmix_chain *chain, struct link *base,
                                     const struct words spare[2]) {
  struct link l = *base;
  for (int i = 0; i < chain->depth; i++) {
    const struct augmix_op *op = &chain->op[i];
    if (op->kind < AUGMIX_ROTATE) {
      change_levels(&l, op, base);
      continue;
    }
    if (op->magnitude == 0) continue; /* exactly the identity */
    settle(&l, other(l.image, spare));
    const struct words *next = other(l.image, spare);
    struct affine map = map_of(op, (struct extent){next->width, next->height});
    affine_words(l.image, &map, next);
    start(&l, next);
  }
  settle(&l, other(l.image, spare));
  return l.image;
}

enum status augmix_apply(struct workspace *work, const struct augmix *mix, const struct planes *image) {
  struct extent size = {image->width, image->height};
  size_t needed = words_needed(size), width = (size_t)size.width;
  if (mix->m == 0) return OK;
  enum status st = scratch_reserve(&work->bytes, 3 * needed * sizeof(uint32_t));
  if (st != OK) return st;
  uint32_t *memory = work->bytes.data;
  struct words input = words_in(memory, size),
               spare[2] = {words_in(memory + needed, size), words_in(memory + 2 * needed, size)};
  for (int32_t y = 0; y < size.height; y++) {
    size_t at = (size_t)y * width;
    const float *row[3] = {image->plane[0] + at, image->plane[1] + at, image->plane[2] + at};
    augmix_quantise(row, width, input.at + y * input.stride);
  }
  struct link base;
  start(&base, &input);
  for (int k = 0; k < mix->width; k++) {
    const struct words *result = run_chain(&mix->chain[k], &base, spare);
    float weight = mix->m * mix->chain[k].weight / 255.0F, keep = k ? 1.0F : 1.0F - mix->m;
    for (int32_t y = 0; y < size.height; y++) {
      size_t at = (size_t)y * width;
      float *row[3] = {image->plane[0] + at, image->plane[1] + at, image->plane[2] + at};
      augmix_add(row, keep, result->at + y * result->stride, weight, width);
    }
  }
  return OK;
}
