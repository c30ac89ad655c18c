#include "sheet.h"

#include <stdlib.h>
#include <string.h>

#include "image/resize.h"

enum { GAP = 2, GROUP_GAP = 8, MIN_CELL = 96, MAX_SIDE = 1 << 14 };

static const uint8_t outline[][3] = {{255, 140, 0},   {0, 160, 255}, {60, 200, 60}, {230, 60, 160},
                                     {160, 110, 255}, {200, 200, 0}, {0, 200, 180}, {220, 90, 60}};

struct sheet {
  const struct policy *policy;
  int32_t cell; /* side of one picture, pixels */
  struct image image;
  struct render *render;
  struct workspace work;
  uint8_t *view; /* [size, size, 3] of the largest view */
};

enum status sheet_open(struct sheet **out, const struct policy *policy, int32_t pairs) {
  int32_t largest = 1, views = policy_views(policy);
  for (int v = 0; v < views; v++)
    if (policy_view_size(policy, v) > largest) largest = policy_view_size(policy, v);
  int32_t zoom = (MIN_CELL + largest - 1) / largest, cell = largest * zoom;
  int64_t width = (int64_t)(views + 1) * (2 * cell + GAP + GROUP_GAP) + GROUP_GAP;
  int64_t height = (int64_t)pairs * (cell + GROUP_GAP) + GROUP_GAP;
  *out = NULL;
  if (width > MAX_SIDE || height > MAX_SIDE)
    return fail(E_ARG, "the sheet would have %lld x %lld pixels; take fewer --pairs or a smaller --size",
                (long long)width, (long long)height);
  struct sheet *s = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  *s = (struct sheet){.policy = policy,
                      .cell = cell,
                      .image = {(int32_t)width, (int32_t)height, malloc((size_t)(3 * width * height))},
                      .view = malloc(3 * (size_t)largest * (size_t)largest)};
  enum status st = s->image.pixels && s->view ? render_open(&s->render) : fail(E_MEMORY, "out of memory");
  if (st == OK) memset(s->image.pixels, 255, (size_t)(3 * width * height));
  *out = s;
  if (st != OK) sheet_close(out);
  return st;
}

void sheet_close(struct sheet **sheet) {
  if (!*sheet) return;
  render_close(&(*sheet)->render);
  workspace_free(&(*sheet)->work);
  image_free(&(*sheet)->image);
  free((*sheet)->view);
  free(*sheet);
  *sheet = NULL;
}

const struct image *sheet_image(const struct sheet *sheet) { return &sheet->image; }

static uint8_t *pixel(struct sheet *s, int32_t x, int32_t y) {
  return s->image.pixels + 3 * ((size_t)y * (size_t)s->image.width + (size_t)x);
}

/* Top left corner of a cell: group 0 holds the images, group v+1 view v. */
static struct rect cell_at(const struct sheet *s, int32_t pair, int group, int side) {
  return (struct rect){GROUP_GAP + group * (2 * s->cell + GAP + GROUP_GAP) + side * (s->cell + GAP),
                       GROUP_GAP + pair * (s->cell + GROUP_GAP), s->cell, s->cell};
}

static void draw_outline(struct sheet *s, struct rect r, const uint8_t colour[3]) {
  for (int32_t x = r.left; x < r.left + r.width; x++) {
    memcpy(pixel(s, x, r.top), colour, 3);
    memcpy(pixel(s, x, r.top + r.height - 1), colour, 3);
  }
  for (int32_t y = r.top; y < r.top + r.height; y++) {
    memcpy(pixel(s, r.left, y), colour, 3);
    memcpy(pixel(s, r.left + r.width - 1, y), colour, 3);
  }
}

static int32_t scaled(int32_t x, int32_t to, int32_t from) { return (int32_t)((int64_t)x * to / from); }

static int32_t at_least_1(int32_t x) { return x > 0 ? x : 1; }

/* The whole image, fitted into its cell, with the crop of every view outlined. */
static enum status draw_original(struct sheet *s, struct rect cell, const struct image *image,
                                 const struct view_draw *draws) {
  int32_t w = image->width, h = image->height;
  struct extent fit = w >= h ? (struct extent){s->cell, at_least_1(scaled(s->cell, h, w))}
                             : (struct extent){at_least_1(scaled(s->cell, w, h)), s->cell};
  struct resize job = {{w, h}, fit, {0, 0, fit.width, fit.height}, FILTER_BILINEAR};
  struct planes planes;
  enum status st = resize_rgb8(&s->work, &job, image->pixels, (struct rect){0, 0, w, h}, &planes);
  uint8_t *bytes = st == OK ? malloc(3 * (size_t)fit.width * (size_t)fit.height) : NULL;
  if (st != OK) return st;
  if (!bytes) return fail(E_MEMORY, "out of memory");
  planes_to_rgb8(&planes, bytes);
  int32_t left = cell.left + (s->cell - fit.width) / 2, top = cell.top + (s->cell - fit.height) / 2;
  for (int32_t y = 0; y < fit.height; y++)
    memcpy(pixel(s, left, top + y), bytes + 3 * (size_t)y * (size_t)fit.width, 3 * (size_t)fit.width);
  free(bytes);
  for (int v = 0; v < policy_views(s->policy); v++) {
    struct rect c = draws[v].crop;
    int32_t x0 = scaled(c.left, fit.width, w), x1 = scaled(c.left + c.width, fit.width, w);
    int32_t y0 = scaled(c.top, fit.height, h), y1 = scaled(c.top + c.height, fit.height, h);
    if (x1 > x0 && y1 > y0) draw_outline(s, (struct rect){left + x0, top + y0, x1 - x0, y1 - y0}, outline[v]);
  }
  return OK;
}

/* A view in the middle of its cell, every pixel `zoom` times as large. */
static void draw_view(struct sheet *s, struct rect cell, int32_t size) {
  int32_t zoom = s->cell / size, rest = (s->cell - zoom * size) / 2;
  for (int32_t y = 0; y < zoom * size; y++)
    for (int32_t x = 0; x < zoom * size; x++)
      memcpy(pixel(s, cell.left + rest + x, cell.top + rest + y),
             s->view + 3 * ((size_t)(y / zoom) * (size_t)size + (size_t)(x / zoom)), 3);
}

enum status sheet_draw(struct sheet *sheet, int32_t pair, int side, const struct image *image,
                       const struct view_draw *draws, float *params) {
  struct source source = {image->pixels, {0, 0, image->width, image->height}, {image->width, image->height}};
  enum status st = draw_original(sheet, cell_at(sheet, pair, 0, side), image, draws);
  for (int v = 0; st == OK && v < policy_views(sheet->policy); v++) {
    st = render_view(sheet->render, sheet->policy, v, &draws[v], &source, sheet->view, params);
    params += policy_params(sheet->policy, v, NULL);
    if (st != OK) break;
    struct rect cell = cell_at(sheet, pair, v + 1, side);
    draw_view(sheet, cell, policy_view_size(sheet->policy, v));
    draw_outline(sheet, (struct rect){cell.left - 1, cell.top - 1, cell.width + 2, cell.height + 2},
                 outline[v]);
  }
  return st;
}
