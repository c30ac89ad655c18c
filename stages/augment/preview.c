/* tandem-augment preview: what a policy makes of a dataset, as a picture to look at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "commands.h"
#include "image/isa.h"
#include "sheet.h"
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

static enum status decode(const struct record *record, struct image *image) {
  if (record->encoding == ENCODING_JPEG) return jpeg_decode(record->bytes, record->size, image);
  *image = (struct image){record->width, record->height, malloc(record->size)};
  if (!image->pixels) return fail(E_MEMORY, "out of memory");
  memcpy(image->pixels, record->bytes, record->size);
  return OK;
}

static void print_params(const struct policy *policy, uint64_t id, const float *params) {
  for (int v = 0; v < policy_views(policy); v++) {
    const char *const *names;
    size_t n = policy_params(policy, v, &names);
    printf("{\"id\":%llu,\"view\":%d", (unsigned long long)id, v + 1);
    for (size_t i = 0; i < n; i++) printf(",\"%s\":%.6g", names[i], (double)params[i]);
    puts("}");
    params += n;
  }
}

/* The pair at positions 2*row and 2*row+1 of step 0. */
struct pair {
  const struct index_entry *entry[2];
  struct extent whole[2];
  struct view_draw draws[2][POLICY_MAX_VIEWS];
};

static void sample_pair(const struct preview *a, const struct split *split, const struct policy *policy,
                        uint32_t row, struct pair *p) {
  for (uint32_t side = 0; side < 2; side++) {
    uint64_t at = rng_permute((uint64_t)a->seed, 0, (uint64_t)split->count, 2 * row + side);
    p->entry[side] = &split->entries[at];
    p->whole[side] = (struct extent){p->entry[side]->width, p->entry[side]->height};
  }
  for (uint32_t side = 0; side < 2; side++)
    policy_sample(policy, (uint64_t)a->seed, 0, 2 * row + side, p->whole[side], p->whole[!side],
                  p->draws[side]);
}

static enum status draw_pair(const struct preview *a, struct dataset *dataset, const struct policy *policy,
                             struct sheet *sheet, uint32_t row, const struct pair *p) {
  enum status st = OK;
  for (int side = 0; st == OK && side < 2; side++) {
    uint64_t id = p->entry[side]->id;
    float params[POLICY_MAX_VIEWS * POLICY_MAX_PARAMS];
    struct record record;
    struct image image = {0};
    st = dataset_read(dataset, id, &record);
    if (st == OK) st = decode(&record, &image);
    if (st == OK) st = sheet_draw(sheet, (int32_t)row, side, &image, p->draws[side], params);
    if (st != OK)
      fail_within(st, "image %llu", (unsigned long long)id);
    else if (a->params)
      print_params(policy, id, params);
    image_free(&image);
  }
  return st;
}

/* Every row's place depends on what is written under those above: all are measured first. */
static enum status draw_all(const struct preview *a, struct dataset *dataset, const struct split *split,
                            const struct policy *policy, struct sheet *sheet) {
  int64_t pairs = 2 * a->pairs <= split->count ? a->pairs : split->count / 2;
  struct pair p;
  enum status st = OK;
  for (uint32_t row = 0; st == OK && row < pairs; row++) {
    sample_pair(a, split, policy, row, &p);
    const struct view_draw *const draws[2] = {p.draws[0], p.draws[1]};
    st = sheet_add(sheet, draws, p.whole);
  }
  for (uint32_t row = 0; st == OK && row < pairs; row++) {
    sample_pair(a, split, policy, row, &p);
    st = draw_pair(a, dataset, policy, sheet, row, &p);
  }
  return st;
}

static enum status check(const struct preview *a) {
  if (a->pairs < 1 || a->pairs > 1024) return fail(E_ARG, "--pairs must lie between 1 and 1024");
  if (a->size < 0 || a->size > POLICY_MAX_SIZE)
    return fail(E_ARG, "--size must lie between 0 and %d", POLICY_MAX_SIZE);
  return OK;
}

static enum status run(void *state) {
  const struct preview *a = state;
  struct dataset *dataset = NULL;
  struct policy *policy = NULL;
  struct sheet *sheet = NULL;
  enum status st = OK;
  TRY(check(a));
  TRY(isa_select(a->isa.isa));
  TRY(policy_load(&policy, a->policy, (int32_t)a->size));
  TRY(dataset_open(&dataset, a->dataset));
  const struct split *split = a->split ? dataset_split(dataset, a->split) : dataset_info(dataset)->splits;
  if (!split) {
    st = E_NOT_FOUND;
    goto out;
  }
  if (split->count < 2) {
    st = fail(E_ARG, "%s: split '%s' has %lld images; a pair needs two", a->dataset, split->name,
              (long long)split->count);
    goto out;
  }
  char title[128];
  snprintf(title, sizeof title, "%.80s, seed %lld", a->policy, (long long)a->seed);
  TRY(sheet_open(&sheet, policy, title, a->captions));
  TRY(draw_all(a, dataset, split, policy, sheet));
  TRY(png_write(a->out, sheet_image(sheet)));
out:
  sheet_close(&sheet);
  dataset_close(&dataset);
  policy_close(&policy);
  return st;
}

const struct command augment_preview = {.name = "preview",
                                        .summary = "Draws aligned pairs of a dataset as a PNG.",
                                        .state_size = sizeof(struct preview),
                                        .opts = opts,
                                        .run = run};
