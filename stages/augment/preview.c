/* tandem-augment preview: what a policy makes of a dataset, as a picture to look at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "commands.h"
#include "image/isa.h"
#include "sheet/record_image.h"
#include "sheet/sheet.h"
#include "store/dataset.h"

struct preview {
  struct isa_options isa;
  const char *dataset, *policy, *split, *out;
  int64_t size, pairs, seed;
  bool params, captions;
};

static const struct opt opts[] = {
    {"dataset", OPT_STR, offsetof(struct preview, dataset), NULL, "the dataset to take images from",
     .required = true},
    {"split", OPT_STR, offsetof(struct preview, split), NULL, "split of the dataset (default: its first)"},
    {"policy", OPT_STR, offsetof(struct preview, policy), "stl10", POLICY_NAMES},
    {"size", OPT_INT, offsetof(struct preview, size), "0",
     "side of the views in pixels; 0: the policy's own"},
    {"pairs", OPT_INT, offsetof(struct preview, pairs), "8", "rows of the sheet"},
    {"seed", OPT_INT, offsetof(struct preview, seed), "0", "selects images and draws"},
    {"out", OPT_STR, offsetof(struct preview, out), NULL, "the PNG file to write", .required = true},
    {"isa", OPT_TABLE, offsetof(struct preview, isa), .sub = isa_opts},
    {"captions", OPT_BOOL, offsetof(struct preview, captions), "true",
     "write what was drawn under the pictures"},
    {"params", OPT_BOOL, offsetof(struct preview, params), NULL,
     "also print every view's parameters, one JSON line each"},
    {0}};

/* All views of one image. */
struct views {
  struct render *render;
  uint8_t *pixels[POLICY_MAX_VIEWS];
  float params[POLICY_MAX_VIEWS][POLICY_MAX_PARAMS];
};

static enum status views_open(struct views *views, const struct policy *policy) {
  enum status st = render_open(&views->render);
  for (int v = 0; st == OK && v < policy_views(policy); v++) {
    size_t size = (size_t)policy_view_size(policy, v);
    views->pixels[v] = malloc(3 * size * size);
    if (!views->pixels[v]) st = fail(E_MEMORY, "out of memory");
  }
  return st;
}

static void views_close(struct views *views) {
  render_close(&views->render);
  for (int v = 0; v < POLICY_MAX_VIEWS; v++) free(views->pixels[v]);
}

static enum status render_views(struct views *views, const struct policy *policy, const struct image *image,
                                const struct view_draw *draws) {
  struct extent whole = {image->width, image->height};
  const struct source source = {image->pixels, {0, 0, whole.width, whole.height}, whole};
  enum status st = OK;
  for (int v = 0; st == OK && v < policy_views(policy); v++)
    st = render_view(views->render, policy, v, &draws[v], &source, views->pixels[v], views->params[v]);
  return st;
}

static void print_params(const struct policy *policy, uint64_t id, const struct views *views) {
  for (int v = 0; v < policy_views(policy); v++) {
    const char *const *names;
    size_t n = policy_params(policy, v, &names);
    printf("{\"id\":%llu,\"view\":%d", (unsigned long long)id, v + 1);
    for (size_t i = 0; i < n; i++) printf(",\"%s\":%.6g", names[i], (double)views->params[v][i]);
    puts("}");
  }
}

struct drawing {
  const struct preview *a;
  struct policy *policy;
  struct dataset *dataset;
  const struct split *split;
  struct sheet *sheet;
  struct views views;
};

/* The pair at positions 2*row and 2*row+1 of step 0. */
struct pair {
  const struct index_entry *entry[2];
  struct extent whole[2];
  struct view_draw draws[2][POLICY_MAX_VIEWS];
};

static void sample_pair(const struct drawing *d, uint32_t row, struct pair *p) {
  const uint64_t seed = (uint64_t)d->a->seed;
  for (uint32_t side = 0; side < 2; side++) {
    uint64_t at = rng_permute(seed, 0, (uint64_t)d->split->count, 2 * row + side);
    p->entry[side] = &d->split->entries[at];
    p->whole[side] = (struct extent){p->entry[side]->width, p->entry[side]->height};
  }
  for (uint32_t side = 0; side < 2; side++)
    policy_sample(d->policy, seed, 0, 2 * row + side, p->whole[side], p->whole[!side], p->draws[side]);
}

static enum status draw_pair(struct drawing *d, uint32_t row, const struct pair *p) {
  enum status st = OK;
  for (int side = 0; st == OK && side < 2; side++) {
    uint64_t id = p->entry[side]->id;
    struct record record;
    struct image image = {0};
    st = dataset_read(d->dataset, id, &record);
    if (st == OK) st = record_image(&record, &image);
    if (st == OK) st = render_views(&d->views, d->policy, &image, p->draws[side]);
    if (st == OK)
      st = sheet_draw(d->sheet, (int32_t)row, side, &image, p->draws[side],
                      (const uint8_t *const *)d->views.pixels);
    if (st != OK)
      fail_within(st, "image %llu", (unsigned long long)id);
    else if (d->a->params)
      print_params(d->policy, id, &d->views);
    image_free(&image);
  }
  return st;
}

/* Every row's place depends on what is written under those above: all are measured first. */
static enum status draw_all(struct drawing *d) {
  int64_t pairs = 2 * d->a->pairs <= d->split->count ? d->a->pairs : d->split->count / 2;
  struct pair p;
  enum status st = OK;
  for (uint32_t row = 0; st == OK && row < pairs; row++) {
    sample_pair(d, row, &p);
    const struct view_draw *const draws[2] = {p.draws[0], p.draws[1]};
    st = sheet_add(d->sheet, draws, p.whole);
  }
  for (uint32_t row = 0; st == OK && row < pairs; row++) {
    sample_pair(d, row, &p);
    st = draw_pair(d, row, &p);
  }
  return st;
}

static enum status check(const struct preview *a) {
  if (a->pairs < 1 || a->pairs > 1024) return fail(E_ARG, "--pairs must lie between 1 and 1024");
  if (a->size < 0 || a->size > POLICY_MAX_SIZE)
    return fail(E_ARG, "--size must lie between 0 and %d", POLICY_MAX_SIZE);
  return OK;
}

static enum status find_split(struct drawing *d) {
  d->split = d->a->split ? dataset_split(d->dataset, d->a->split) : dataset_info(d->dataset)->splits;
  if (!d->split) return E_NOT_FOUND;
  if (d->split->count >= 2) return OK;
  return fail(E_ARG, "%s: split '%s' has %lld images; a pair needs two", d->a->dataset, d->split->name,
              (long long)d->split->count);
}

static enum status run(void *state) {
  const struct preview *a = state;
  struct drawing d = {.a = a};
  char title[128];
  enum status st = OK;
  TRY(check(a));
  TRY(isa_select(a->isa.isa));
  TRY(policy_load(&d.policy, a->policy, (int32_t)a->size));
  TRY(dataset_open(&d.dataset, a->dataset));
  TRY(find_split(&d));
  snprintf(title, sizeof title, "%.80s, seed %lld", a->policy, (long long)a->seed);
  TRY(sheet_open(&d.sheet, d.policy, title, a->captions));
  TRY(views_open(&d.views, d.policy));
  TRY(draw_all(&d));
  TRY(png_write(a->out, sheet_image(d.sheet)));
out:
  views_close(&d.views);
  sheet_close(&d.sheet);
  dataset_close(&d.dataset);
  policy_close(&d.policy);
  return st;
}

const struct command augment_preview = {.name = "preview",
                                        .summary = "Draws aligned pairs of a dataset as a PNG.",
                                        .state_size = sizeof(struct preview),
                                        .opts = opts,
                                        .run = run};
