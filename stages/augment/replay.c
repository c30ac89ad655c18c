/* tandem-augment replay: one shard again, without consumer or workers. Whole images are decoded and rendered one by one, so
 * it is also a second opinion on what decode and augment workers made of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "commands.h"
#include "image/isa.h"
#include "image/jpeg.h"
#include "image/shrink.h"
#include "sheet/sheet.h"
#include "store/dataset.h"
#include "store/safetensors.h"
#include "wire/shard_hash.h"
#include "wire/ticket.h"

struct replay {
  struct isa_options isa;
  const char *ticket, *dataset, *out;
};

static const struct opt opts[] = {
    {"ticket", OPT_STR, offsetof(struct replay, ticket), NULL,
     "STEP-SHARD.ticket, written by a consumer that stopped because of this shard, or that was given "
     "--tickets",
     .required = true},
    {"dataset", OPT_STR, offsetof(struct replay, dataset), NULL, "the dataset of that run", .required = true},
    {"out", OPT_STR, offsetof(struct replay, out), NULL,
     "NAME.safetensors: ids, labels, and view1 [n, size, size, 3], params1, ...; or NAME.png: a sheet to "
     "look at"},
    {"isa", OPT_TABLE, offsetof(struct replay, isa), .sub = isa_opts},
    {0}};

/* A shard and what becomes of it. */
struct shard {
  struct ticket ticket;
  struct policy *policy;
  struct dataset *dataset;
  struct render *render;
  struct sheet *sheet; /* NULL: none wanted */
  int64_t ids[SHARD_IMAGES];
  int32_t labels[SHARD_IMAGES];
  struct extent extents[SHARD_IMAGES];
  uint8_t *pixels[POLICY_MAX_VIEWS]; /* [n, size, size, 3] */
  float *params[POLICY_MAX_VIEWS];   /* [n, n_params] */
};

static size_t view_bytes(const struct shard *s, int v) {
  return (size_t)policy_view_size(s->policy, v) * (size_t)policy_view_size(s->policy, v) * 3;
}

/* Sizes come first: an image's draws depend on its partner's. */
static enum status read_sizes(struct shard *s) {
  for (uint32_t i = 0; i < s->ticket.ids.count; i++) {
    struct record record;
    enum status st = dataset_read(s->dataset, s->ticket.ids.at[i], &record);
    if (st != OK) return st;
    s->ids[i] = (int64_t)s->ticket.ids.at[i];
    s->labels[i] = record.label;
    s->extents[i] = (struct extent){record.width, record.height};
  }
  return OK;
}

static enum status open_shard(struct shard *s, const struct replay *a) {
  enum status st = OK;
  char *policy = strndup(s->ticket.policy.at, s->ticket.policy.size);
  if (!policy) return fail(E_MEMORY, "out of memory");
  TRY(policy_parse(&s->policy, policy));
  TRY(dataset_open(&s->dataset, a->dataset));
  if (!text_is(s->ticket.dataset, dataset_info(s->dataset)->fingerprint))
    TRY(fail(E_ARG, "%s has fingerprint %s, and the ticket is for %.*s", a->dataset,
             dataset_info(s->dataset)->fingerprint, TEXT_ARG(s->ticket.dataset)));
  TRY(read_sizes(s));
  TRY(render_open(&s->render));
  for (int v = 0; v < policy_views(s->policy); v++) {
    size_t n = s->ticket.ids.count, params = policy_params(s->policy, v, NULL);
    s->pixels[v] = malloc(n * view_bytes(s, v));
    s->params[v] = malloc((n * params + 1) * sizeof(float));
    if (!s->pixels[v] || !s->params[v]) TRY(fail(E_MEMORY, "out of memory"));
  }
out:
  free(policy);
  return st;
}

static void close_shard(struct shard *s) {
  for (int v = 0; v < POLICY_MAX_VIEWS; v++) {
    free(s->pixels[v]);
    free(s->params[v]);
  }
  sheet_close(&s->sheet);
  render_close(&s->render);
  dataset_close(&s->dataset);
  policy_close(&s->policy);
  ticket_free(&s->ticket);
}

/* The whole image, at 1/shrink of its size. */
static enum status decode(const struct record *r, int32_t shrink, struct image *image) {
  const struct extent whole = {r->width, r->height};
  const struct rect all = shrink_rect((struct rect){0, 0, r->width, r->height}, shrink);
  const struct jpeg_file file = {r->bytes, r->size, whole, r->restarts, r->n_restarts, shrink};
  *image = (struct image){all.width, all.height, malloc(3 * (size_t)all.width * (size_t)all.height)};
  if (!image->pixels) return fail(E_MEMORY, "out of memory");
  if (r->encoding == ENCODING_RGB8) {
    shrink_rgb8(r->bytes, whole, shrink, all, image->pixels);
    return OK;
  }
  struct jpeg_decoder *decoder;
  enum status st = jpeg_decoder_open(&decoder);
  if (st == OK) st = jpeg_decode_region(decoder, &file, all, image->pixels);
  jpeg_decoder_close(&decoder);
  return st;
}

static uint32_t partner_of(const struct shard *s, uint32_t i) {
  return (i ^ 1U) < s->ticket.ids.count ? i ^ 1U : i; /* `first` is even */
}

static void sample_image(const struct shard *s, uint32_t i, struct view_draw *draws) {
  policy_sample(s->policy, s->ticket.seed, s->ticket.step, (uint32_t)s->ticket.first + i, s->extents[i],
                s->extents[partner_of(s, i)], draws);
}

/* A row per pair; an image left over stands alone in its row. */
static enum status open_sheet(struct shard *s) {
  char title[64];
  snprintf(title, sizeof title, "step %" PRIu64 ", shard %" PRIu64, s->ticket.step, s->ticket.shard);
  enum status st = sheet_open(&s->sheet, s->policy, title, true);
  for (uint32_t i = 0; st == OK && i < s->ticket.ids.count; i += 2) {
    struct view_draw draws[2][POLICY_MAX_VIEWS];
    sample_image(s, i, draws[0]);
    sample_image(s, partner_of(s, i), draws[1]);
    st = sheet_add(s->sheet, (const struct view_draw *const[2]){draws[0], draws[1]},
                   (struct extent[2]){s->extents[i], s->extents[partner_of(s, i)]});
  }
  return st;
}

static enum status render_image(struct shard *s, uint32_t i) {
  struct view_draw draws[POLICY_MAX_VIEWS];
  const uint8_t *views[POLICY_MAX_VIEWS] = {0};
  sample_image(s, i, draws);
  struct record record;
  struct image image = {0};
  enum status st = dataset_read(s->dataset, s->ticket.ids.at[i], &record);
  int32_t shrink = policy_shrink(s->policy, draws);
  if (st == OK) st = decode(&record, shrink, &image);
  struct source source = {image.pixels, {0, 0, image.width, image.height}, s->extents[i], shrink};
  for (int v = 0; st == OK && v < policy_views(s->policy); v++) {
    uint8_t *view = s->pixels[v] + i * view_bytes(s, v);
    views[v] = view;
    st = render_view(s->render, s->policy, v, &draws[v], &source, view,
                     s->params[v] + i * policy_params(s->policy, v, NULL));
  }
  if (st == OK && s->sheet && shrink > 1) { /* the sheet shows where the crops lie in the original */
    image_free(&image);
    st = decode(&record, 1, &image);
  }
  if (st == OK && s->sheet) st = sheet_draw(s->sheet, (int32_t)(i / 2), (int)(i % 2), &image, draws, views);
  image_free(&image);
  return st == OK ? OK : fail_within(st, "sample %" PRIu64, s->ticket.ids.at[i]);
}

/* As a ledger line of this shard alone: a step's line has the sums over its shards. */
static void print_digests(const struct shard *s, const uint8_t *body, size_t size) {
  struct shard_hash hash;
  uint32_t n = s->ticket.ids.count;
  shard_hash_open(&hash, s->ticket.first);
  for (int v = 0; v < policy_views(s->policy); v++)
    for (uint32_t i = 0; i < n; i++)
      shard_hash_pixels(&hash, s->pixels[v] + i * view_bytes(s, v), view_bytes(s, v));
  for (int v = 0; v < policy_views(s->policy); v++)
    shard_hash_params(&hash, s->params[v], n * policy_params(s->policy, v, NULL) * sizeof(float));
  for (uint32_t i = 0; i < n; i++) shard_hash_label(&hash, s->labels[i]);
  struct shard_digest d = shard_hash_close(&hash);
  printf("{\"step\": %" PRIu64 ", \"shard\": %" PRIu64 ", \"images\": %" PRIu32 ", \"tickets\": \"%016" PRIx64
         "\", \"pixels\": \"%016" PRIx64 "\", \"labels\": \"%016" PRIx64 "\"}\n",
         s->ticket.step, s->ticket.shard, n, XXH3_64bits(body, size), d.pixels, d.labels);
}

static struct tensor_view tensor(const char *name, enum dtype dtype, int n_dims, const int64_t *shape,
                                 const void *data) {
  struct tensor_view t = {
      .name = name, .dtype = dtype, .n_dims = n_dims, .data = data, .size = dtype_size(dtype)};
  for (int i = 0; i < n_dims; i++) t.size *= (size_t)(t.shape[i] = shape[i]);
  return t;
}

static enum status write_tensors(const struct shard *s, const char *path) {
  struct tensor_view tensors[2 + 2 * POLICY_MAX_VIEWS];
  char names[2 * POLICY_MAX_VIEWS][24];
  int64_t n = s->ticket.ids.count;
  size_t count = 0;
  tensors[count++] = tensor("ids", DTYPE_I64, 1, &n, s->ids);
  tensors[count++] = tensor("labels", DTYPE_I32, 1, &n, s->labels);
  for (int v = 0; v < policy_views(s->policy); v++) {
    int64_t side = policy_view_size(s->policy, v), params = (int64_t)policy_params(s->policy, v, NULL);
    snprintf(names[2 * v], sizeof names[0], "view%d", v + 1);
    snprintf(names[2 * v + 1], sizeof names[0], "params%d", v + 1);
    tensors[count++] = tensor(names[2 * v], DTYPE_U8, 4, (int64_t[]){n, side, side, 3}, s->pixels[v]);
    if (params)
      tensors[count++] = tensor(names[2 * v + 1], DTYPE_F32, 2, (int64_t[]){n, params}, s->params[v]);
  }
  return safetensors_write(path, tensors, count, NULL, 0);
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n > m && strcmp(text + n - m, end) == 0;
}

static enum status run(void *state) {
  const struct replay *a = state;
  bool picture = a->out && ends_with(a->out, ".png");
  uint8_t *body = NULL;
  size_t size = 0;
  struct shard s = {0};
  enum status st = OK;
  if (a->out && !picture && !ends_with(a->out, ".safetensors"))
    return fail(E_ARG, "%s: the output's name must end in .png or .safetensors", a->out);
  TRY(isa_select(a->isa.isa));
  TRY(file_read(a->ticket, FRAME_MAX, &body, &size));
  st = ticket_decode(body, size, &s.ticket);
  if (st != OK) TRY(fail_within(st, "%s", a->ticket));
  TRY(open_shard(&s, a));
  if (picture) TRY(open_sheet(&s));
  for (uint32_t i = 0; st == OK && i < s.ticket.ids.count; i++) st = render_image(&s, i);
  if (st == OK && a->out) st = picture ? png_write(a->out, sheet_image(s.sheet)) : write_tensors(&s, a->out);
  if (st == OK) print_digests(&s, body, size);
out:
  close_shard(&s);
  free(body);
  return st;
}

const struct command augment_replay = {
    .name = "replay",
    .summary = "Makes one shard of a run again from its ticket and prints its digests.",
    .state_size = sizeof(struct replay),
    .opts = opts,
    .run = run};
