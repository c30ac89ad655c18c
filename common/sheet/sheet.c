#include "sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caption.h"
#include "font.h"
#include "image/resize.h"

enum { MARGIN = 12, GAP = 4, GROUP_GAP = 20, ROW_GAP = 22, HEAD = 2 * FONT_HEIGHT + FONT_HEIGHT + 14 };
enum { TIE = 3, LINE_GAP = 5, OWN_GAP = 4, MIN_CELL = 192, MAX_SIDE = 1 << 14 };

/* Of the views: readable on white, and told apart on most pictures. */
static const uint8_t outline[][3] = {{230, 110, 0},  {0, 120, 215}, {40, 150, 40}, {200, 40, 130},
                                     {120, 80, 220}, {150, 130, 0}, {0, 140, 130}, {190, 70, 50}};
static const uint8_t ink[3] = {40, 40, 40};

struct row {
  int32_t top;                      /* of its pictures */
  int32_t shared[POLICY_MAX_VIEWS]; /* lines of what the pair shares */
};

struct sheet {
  const struct policy *policy;
  char title[128];
  bool captions;
  int32_t cell; /* side of one picture, pixels */
  int32_t width, height, n_rows;
  struct row *rows;
  struct image image; /* from the first picture on */
  struct workspace work;
};

enum status sheet_open(struct sheet **out, const struct policy *policy, const char *title, bool captions) {
  int32_t largest = 1, views = policy_views(policy);
  for (int v = 0; v < views; v++)
    if (policy_view_size(policy, v) > largest) largest = policy_view_size(policy, v);
  int32_t cell = largest * ((MIN_CELL + largest - 1) / largest);
  *out = NULL;
  struct sheet *s = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  *s = (struct sheet){.policy = policy,
                      .captions = captions,
                      .cell = cell,
                      .width = 2 * MARGIN + (views + 1) * (2 * cell + GAP) + views * GROUP_GAP,
                      .height = MARGIN + HEAD};
  snprintf(s->title, sizeof s->title, "%s", title);
  *out = s;
  return OK;
}

void sheet_close(struct sheet **sheet) {
  if (!*sheet) return;
  workspace_free(&(*sheet)->work);
  image_free(&(*sheet)->image);
  free((*sheet)->rows);
  free(*sheet);
  *sheet = NULL;
}

const struct image *sheet_image(const struct sheet *sheet) { return &sheet->image; }

/* Characters of a line, with a space to the next one's. */
static size_t columns_of(const struct sheet *s, bool shared) {
  return (size_t)((shared ? 2 * s->cell + GAP : s->cell) / FONT_WIDTH - 1);
}

/* The lines of a view's caption for one side, and how many of them the pair shares. */
static int32_t count_lines(const struct sheet *s, int view, const struct view_draw *draw, struct extent whole,
                           int32_t *shared) {
  struct caption c = {.n_lines = 0};
  caption_write(&c, s->policy, view, draw, whole, true, columns_of(s, true));
  *shared = c.n_lines;
  caption_write(&c, s->policy, view, draw, whole, false, columns_of(s, false));
  return c.n_lines;
}

enum status sheet_add(struct sheet *s, const struct view_draw *const draws[2],
                      const struct extent wholes[2]) {
  struct row *rows = realloc(s->rows, (size_t)(s->n_rows + 1) * sizeof *rows), *row;
  if (!rows) return fail(E_MEMORY, "out of memory");
  s->rows = rows;
  row = &rows[s->n_rows++];
  *row = (struct row){.top = s->height};
  int32_t most = s->captions;
  for (int v = 0; s->captions && v < policy_views(s->policy); v++) {
    int32_t own = 0;
    for (int side = 0; side < 2; side++) {
      int32_t shared, n = count_lines(s, v, &draws[side][v], wholes[side], &shared);
      own = n > own ? n : own;
      row->shared[v] = shared > row->shared[v] ? shared : row->shared[v];
    }
    most = row->shared[v] + own > most ? row->shared[v] + own : most;
  }
  s->height += s->cell + (most ? 2 * LINE_GAP + TIE + most * FONT_HEIGHT + OWN_GAP : 0) + ROW_GAP;
  if (s->width <= MAX_SIDE && s->height <= MAX_SIDE) return OK;
  return fail(E_ARG,
              "the sheet would have more than %d pixels on a side; take fewer pairs or a smaller --size",
              MAX_SIDE);
}

static uint8_t *pixel(struct sheet *s, int32_t x, int32_t y) {
  return s->image.pixels + 3 * ((size_t)y * (size_t)s->image.width + (size_t)x);
}

/* Group 0 holds the images, group v+1 view v. */
static int32_t group_left(const struct sheet *s, int group) {
  return MARGIN + group * (2 * s->cell + GAP + GROUP_GAP);
}

static struct rect cell_at(const struct sheet *s, int32_t pair, int group, int side) {
  return (struct rect){group_left(s, group) + side * (s->cell + GAP), s->rows[pair].top, s->cell, s->cell};
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
static void draw_view(struct sheet *s, struct rect cell, int32_t size, const uint8_t *pixels) {
  int32_t zoom = s->cell / size, rest = (s->cell - zoom * size) / 2;
  for (int32_t y = 0; y < zoom * size; y++)
    for (int32_t x = 0; x < zoom * size; x++)
      memcpy(pixel(s, cell.left + rest + x, cell.top + rest + y),
             pixels + 3 * ((size_t)(y / zoom) * (size_t)size + (size_t)(x / zoom)), 3);
}

static void fill(struct sheet *s, struct rect r, const uint8_t colour[3]) {
  for (int32_t y = r.top; y < r.top + r.height; y++)
    for (int32_t x = r.left; x < r.left + r.width; x++) memcpy(pixel(s, x, y), colour, 3);
}

static void write_line(struct sheet *s, int32_t x, int32_t y, const char *text, size_t n,
                       const uint8_t colour[3]) {
  font_draw(&s->image, x, y, text, n, 1, colour);
}

static void write_caption(struct sheet *s, int32_t x, int32_t y, const struct caption *c) {
  for (int i = 0; i < c->n_lines; i++)
    write_line(s, x, y + i * FONT_HEIGHT, c->line[i].text, c->line[i].length, ink);
}

/* Under a view: what the pair shares, tied together by a line over both, then this side's own. */
static void write_captions(struct sheet *s, int32_t pair, int view, int side, const struct view_draw *draw,
                           struct extent whole) {
  struct rect cell = cell_at(s, pair, view + 1, side);
  int32_t y = cell.top + s->cell + LINE_GAP, shared = s->rows[pair].shared[view];
  struct caption c = {.n_lines = 0};
  if (shared && side == 0) {
    fill(s, (struct rect){cell.left, y, 2 * s->cell + GAP, TIE}, outline[view]);
    caption_write(&c, s->policy, view, draw, whole, true, columns_of(s, true));
    write_caption(s, cell.left, y + TIE + LINE_GAP, &c);
  }
  caption_write(&c, s->policy, view, draw, whole, false, columns_of(s, false));
  write_caption(s, cell.left, y + TIE + LINE_GAP + shared * FONT_HEIGHT + (shared ? OWN_GAP : 0), &c);
}

static void write_head(struct sheet *s) {
  font_draw(&s->image, MARGIN, MARGIN, s->title, strlen(s->title), 2, ink);
  int32_t y = MARGIN + HEAD - FONT_HEIGHT - LINE_GAP;
  static const char images[] = "image and partner";
  write_line(s, MARGIN, y, images, sizeof images - 1, ink);
  for (int v = 0; v < policy_views(s->policy); v++) {
    char text[64];
    int n = snprintf(text, sizeof text, "view %d, %d pixels", v + 1, policy_view_size(s->policy, v));
    write_line(s, group_left(s, v + 1), y, text, (size_t)n, outline[v]);
  }
}

/* The white sheet with its head. */
static enum status begin(struct sheet *s) {
  size_t bytes = 3 * (size_t)s->width * (size_t)s->height;
  s->image = (struct image){s->width, s->height, malloc(bytes)};
  if (!s->image.pixels) return fail(E_MEMORY, "out of memory");
  memset(s->image.pixels, 255, bytes);
  write_head(s);
  return OK;
}

enum status sheet_draw(struct sheet *sheet, int32_t pair, int side, const struct image *image,
                       const struct view_draw *draws, const uint8_t *const *views) {
  struct extent whole = {image->width, image->height};
  enum status st = sheet->image.pixels ? OK : begin(sheet);
  if (st == OK) st = draw_original(sheet, cell_at(sheet, pair, 0, side), image, draws);
  for (int v = 0; st == OK && v < policy_views(sheet->policy); v++) {
    draw_view(sheet, cell_at(sheet, pair, v + 1, side), policy_view_size(sheet->policy, v), views[v]);
    if (sheet->captions) write_captions(sheet, pair, v, side, &draws[v], whole);
  }
  return st;
}
