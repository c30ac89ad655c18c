/* tandem-ingest info --sheet: a look at a dataset. A row per class (ten of them at most, evenly chosen), a
 * column per image; unlabelled datasets fill the rows as they come. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "image/resize.h"
#include "ingest/ingest.h"
#include "sheet/record_image.h"

enum { ROWS = 10, COLUMNS = 12, CELL = 48, GAP = 2 };

struct sheet {
  struct dataset *dataset;
  struct workspace work;
  struct image picture;
};

/* Scales an image into a square cell, as large as fits, and puts it in the middle. */
static enum status draw(struct sheet *s, const struct image *m, int row, int column) {
  enum status st;
  struct planes scaled;
  int32_t longer = m->width > m->height ? m->width : m->height;
  struct extent fit = {(m->width * CELL + longer - 1) / longer, (m->height * CELL + longer - 1) / longer};
  const struct resize job = {{m->width, m->height}, fit, {0, 0, fit.width, fit.height}, FILTER_BILINEAR};
  uint8_t *pixels = malloc((size_t)fit.width * (size_t)fit.height * 3);
  if (!pixels) return fail(E_MEMORY, "out of memory while drawing");
  TRY(resize_rgb8(&s->work, &job, m->pixels, (struct rect){0, 0, m->width, m->height}, &scaled));
  planes_to_rgb8(&scaled, pixels);
  int32_t left = GAP + column * (CELL + GAP) + (CELL - fit.width) / 2,
          top = GAP + row * (CELL + GAP) + (CELL - fit.height) / 2;
  for (int32_t y = 0; y < fit.height; y++)
    memcpy(s->picture.pixels + 3 * ((size_t)(top + y) * (size_t)s->picture.width + (size_t)left),
           pixels + 3 * (size_t)y * (size_t)fit.width, 3 * (size_t)fit.width);
out:
  free(pixels);
  return st;
}

static enum status draw_sample(struct sheet *s, uint64_t id, int row, int column) {
  enum status st;
  struct record r;
  struct image image = {0};
  TRY(dataset_read(s->dataset, id, &r));
  TRY(record_image(&r, &image));
  TRY(draw(s, &image, row, column));
out:
  image_free(&image);
  return st;
}

/* The row's class, or -1 when rows do not stand for classes. */
static int32_t class_of_row(const struct dataset_info *info, int row) {
  if (info->n_classes <= ROWS) return row < (int)info->n_classes ? row : -1;
  return (int32_t)((size_t)row * info->n_classes / ROWS);
}

static enum status draw_row(struct sheet *s, const struct split *split, int row) {
  enum status st = OK;
  const struct dataset_info *info = dataset_info(s->dataset);
  int32_t class = info->n_classes ? class_of_row(info, row) : -1;
  int64_t i = class < 0 ? (int64_t)row * COLUMNS : 0;
  for (int column = 0; i < split->count && column < COLUMNS; i++)
    if (class < 0 || split->entries[i].label == class)
      TRY(draw_sample(s, split->entries[i].id, row, column++));
out:
  return st;
}

enum status sheet_write(struct dataset *dataset, const char *path) {
  enum status st;
  const struct dataset_info *info = dataset_info(dataset);
  const struct split *split = &info->splits[0];
  int rows = info->n_classes && info->n_classes < ROWS ? (int)info->n_classes : ROWS;
  if (info->n_classes == 0 && split->count < (int64_t)ROWS * COLUMNS)
    rows = (int)((split->count + COLUMNS - 1) / COLUMNS);
  struct sheet s = {.dataset = dataset,
                    .picture = {GAP + COLUMNS * (CELL + GAP), GAP + rows * (CELL + GAP), NULL}};
  size_t size = 3 * (size_t)s.picture.width * (size_t)s.picture.height;
  s.picture.pixels = malloc(size);
  if (!s.picture.pixels) return fail(E_MEMORY, "out of memory while drawing");
  memset(s.picture.pixels, 255, size);
  for (int row = 0; row < rows; row++) TRY(draw_row(&s, split, row));
  TRY(png_write(path, &s.picture));
out:
  image_free(&s.picture);
  workspace_free(&s.work);
  return st;
}
