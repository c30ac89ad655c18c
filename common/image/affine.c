#include "image/affine.h"

#include <stdbool.h>
#include <string.h>

#include "base/numeric.h"
#include "image/affine_simd.h"

struct affine affine_rotation(struct extent size, double degrees) {
  double s, c, x = size.width / 2.0, y = size.height / 2.0;
  numeric_sincos(degrees, &s, &c);
  return (struct affine){c, -s, x - c * x + s * y, s, c, y - s * x - c * y};
}

struct affine affine_shear_x(double factor) {
  return (struct affine){1, factor, 0, 0, 1, 0};
}
struct affine affine_shear_y(double factor) {
  return (struct affine){1, 0, 0, factor, 1, 0};
}
struct affine affine_translation(double x, double y) {
  return (struct affine){1, 0, x, 0, 1, y};
}

static int64_t fixed(double x) { return (int64_t)numeric_round(x * 0x1p32); }

static struct affine_row row_at(const struct affine *m, int32_t y) {
  return (struct affine_row){fixed(m->xx * 0.5 + m->xy * (y + 0.5) + m->x0),
                             fixed(m->yx * 0.5 + m->yy * (y + 0.5) + m->y0), fixed(m->xx), fixed(m->yx)};
}

enum status affine_planes(struct workspace *work, const struct planes *in, const struct affine *map,
                          struct planes *out) {
  struct extent size = {in->width, in->height};
  enum status st = workspace_planes(work, size.width, size.height, out);
  if (st != OK) return st;
  for (int32_t y = 0; y < size.height; y++) {
    struct affine_row row = row_at(map, y);
    for (int c = 0; c < 3; c++)
      affine_row_plane(in->plane[c], size, &row, out->plane[c] + (size_t)y * (size_t)size.width);
  }
  workspace_flip(work);
  return OK;
}

size_t words_needed(struct extent size) { return (size_t)(size.width + 2) * (size_t)(size.height + 2); }

struct words words_in(uint32_t *memory, struct extent size) {
  ptrdiff_t stride = size.width + 2;
  return (struct words){size.width, size.height, stride, memory + stride + 1};
}

/* The margin repeats the nearest pixel: at most one step outside is interpolated with. */
static void fill_margin(const struct words *w) {
  for (int32_t y = 0; y < w->height; y++) {
    uint32_t *row = w->at + y * w->stride;
    row[-1] = row[0];
    row[w->width] = row[w->width - 1];
  }
  size_t bytes = (size_t)w->stride * sizeof *w->at;
  uint32_t *first = w->at - 1, *last = first + (w->height - 1) * w->stride;
  memcpy(first - w->stride, first, bytes);
  memcpy(last + w->stride, last, bytes);
}

/* A whole number of pixels: rows are copied. */
static void shift(const struct words *in, ptrdiff_t dx, ptrdiff_t dy, const struct words *out) {
  ptrdiff_t width = in->width, from = dx < 0 ? -dx : 0, to = dx > 0 ? width - dx : width;
  for (ptrdiff_t y = 0; y < in->height; y++) {
    uint32_t *row = out->at + y * out->stride;
    bool inside = y + dy >= 0 && y + dy < in->height && from < to;
    if (!inside) {
      memset(row, 0, (size_t)width * sizeof *row);
      continue;
    }
    memset(row, 0, (size_t)from * sizeof *row);
    memcpy(row + from, in->at + (y + dy) * in->stride + from + dx, (size_t)(to - from) * sizeof *row);
    memset(row + to, 0, (size_t)(width - to) * sizeof *row);
  }
}

void affine_words(const struct words *in, const struct affine *map, const struct words *out) {
  bool translates = map->xx == 1 && map->xy == 0 && map->yx == 0 && map->yy == 1;
  if (translates && map->x0 == (int32_t)map->x0 && map->y0 == (int32_t)map->y0) {
    shift(in, (ptrdiff_t)map->x0, (ptrdiff_t)map->y0, out);
    return;
  }
  fill_margin(in);
  for (int32_t y = 0; y < in->height; y++) {
    struct affine_row row = row_at(map, y);
    affine_row_words(in, &row, out->at + y * out->stride);
  }
}
