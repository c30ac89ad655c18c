#include "pictures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "events/event_file.h"
#include "sheet/record_image.h"
#include "sheet/sheet.h"

enum { MOST_PAIRS = 4 };

struct pair {
  struct image image[2];
  struct extent whole[2];
  struct view_draw draws[2][POLICY_MAX_VIEWS];
};

bool pictures_due(const struct run *run, int64_t step) {
  return run->events && run->o->images_every && step % run->steps_per_epoch == 0 &&
         step / run->steps_per_epoch % run->o->images_every == 0;
}

/* The draws do not travel: they are made again, as the workers made them. */
static enum status read_pair(struct pair *p, const struct run *run, const struct feed_batch *batch,
                             uint32_t row) {
  enum status st = OK;
  for (uint32_t side = 0; side < 2; side++) {
    struct record record;
    TRY(dataset_read(run->dataset, batch->ids[2 * row + side], &record));
    TRY(record_image(&record, &p->image[side]));
    p->whole[side] = (struct extent){p->image[side].width, p->image[side].height};
  }
  for (uint32_t side = 0; side < 2; side++)
    policy_sample(run->policy, (uint64_t)run->o->seed, (uint64_t)batch->step, 2 * row + side, p->whole[side],
                  p->whole[!side], p->draws[side]);
out:
  return st;
}

static enum status draw_pair(struct sheet *sheet, const struct pair *p, const struct feed_batch *batch,
                             int32_t row) {
  enum status st = OK;
  for (int side = 0; st == OK && side < 2; side++) {
    const uint8_t *views[POLICY_MAX_VIEWS];
    for (int v = 0; v < batch->n_views; v++) {
      size_t size = (size_t)batch->views[v].size;
      views[v] = batch->views[v].pixels + (size_t)(2 * row + side) * 3 * size * size;
    }
    st = sheet_draw(sheet, row, side, &p->image[side], p->draws[side], views);
  }
  return st;
}

static enum status draw_pairs(struct sheet *sheet, struct pair *pairs, int32_t n, const struct run *run,
                              const struct feed_batch *batch) {
  enum status st = OK;
  for (int32_t row = 0; row < n; row++) {
    TRY(read_pair(&pairs[row], run, batch, (uint32_t)row));
    const struct view_draw *const draws[2] = {pairs[row].draws[0], pairs[row].draws[1]};
    TRY(sheet_add(sheet, draws, pairs[row].whole));
  }
  for (int32_t row = 0; row < n; row++) TRY(draw_pair(sheet, &pairs[row], batch, row));
out:
  return st;
}

static enum status add_picture(struct event_file *events, int64_t step, const struct image *picture) {
  struct event_image event = {"pairs", .width = picture->width, .height = picture->height};
  uint8_t *png;
  enum status st = png_encode(picture, &png, &event.size);
  event.png = png;
  if (st == OK) st = event_file_image(events, step, &event);
  free(png);
  return st;
}

enum status pictures_add(const struct run *run, const struct feed_batch *batch) {
  const int32_t n = batch->n / 2 < MOST_PAIRS ? (int32_t)(batch->n / 2) : MOST_PAIRS;
  struct sheet *sheet = NULL;
  char title[128];
  snprintf(title, sizeof title, "%.80s, seed %" PRId64 ", step %" PRId64, run->o->policy, run->o->seed,
           batch->step);
  enum status st = OK;
  struct pair *pairs = calloc((size_t)n, sizeof *pairs);
  if (!pairs) return fail(E_MEMORY, "out of memory");
  TRY(sheet_open(&sheet, run->policy, title, true));
  TRY(draw_pairs(sheet, pairs, n, run, batch));
  TRY(add_picture(run->events, batch->step, sheet_image(sheet)));
out:
  sheet_close(&sheet);
  for (int32_t i = 0; i < n; i++)
    for (int side = 0; side < 2; side++) image_free(&pairs[i].image[side]);
  free(pairs);
  return st == OK ? OK : fail_within(st, "a picture of the pairs (--images-every 0: none)");
}
