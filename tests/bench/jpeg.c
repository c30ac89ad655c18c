/* jpeg: how fast the JPEGs of a dataset decode on one core, as a whole and for the crops of a policy, and
 * whether the pixels are the same. Prints one JSON line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cli.h"
#include "image/image.h"
#include "image/jpeg.h"
#include "image/shrink.h"
#include "store/dataset.h"
#include "transform/policy.h"

struct options {
  const char *dataset, *policy;
  int64_t size, rounds, seed;
};

#define FIELD(name) offsetof(struct options, name)
static const struct opt opts[] = {
    {"dataset", OPT_STR, FIELD(dataset), NULL, "dataset made by tandem-ingest", NULL, NULL, true},
    {"policy", OPT_STR, FIELD(policy), "imagenet", "policy preset or file"},
    {"size", OPT_INT, FIELD(size), "224", "pixels of a view's side"},
    {"rounds", OPT_INT, FIELD(rounds), "20", "times every image is decoded for other crops"},
    {"seed", OPT_INT, FIELD(seed), "7", "seed of the crops"},
    {0}};

struct bench {
  struct dataset *dataset;
  struct policy *policy;
  struct jpeg_decoder *decoder;
  struct image whole;
  uint8_t *part;
  size_t room;
  double full_s, crop_s, pair_s; /* CPU time */
  uint64_t images, parts, bytes, different;
};

static double cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void compare(struct bench *b, struct rect r) {
  size_t row = 3 * (size_t)r.width;
  for (int32_t y = 0; y < r.height; y++) {
    const uint8_t *p = b->part + (size_t)y * row,
                  *q = b->whole.pixels + 3 * ((size_t)(r.top + y) * (size_t)b->whole.width + (size_t)r.left);
    for (size_t i = 0; i < row; i++) b->different += p[i] != q[i];
    b->bytes += row;
  }
  b->parts++;
}

static enum status decode_part(struct bench *b, const struct record *r, struct rect region, int32_t shrink,
                               double *spent) {
  const struct jpeg_file file = {r->bytes,    r->size,       {r->width, r->height},
                                 r->restarts, r->n_restarts, shrink};
  double begin = cpu_s();
  enum status st = jpeg_decode_region(b->decoder, &file, shrink_rect(region, shrink), b->part);
  *spent += cpu_s() - begin;
  if (st == OK && shrink == 1) compare(b, region);
  return st;
}

static enum status decode_image(struct bench *b, const struct options *o, uint64_t id, int64_t round) {
  enum status st = OK;
  struct record r;
  struct view_draw draws[POLICY_MAX_VIEWS];
  TRY(dataset_read(b->dataset, id, &r));
  if (r.encoding != ENCODING_JPEG) return OK;
  size_t bytes = 3 * (size_t)r.width * (size_t)r.height;
  if (bytes > b->room) {
    free(b->part);
    b->part = malloc(bytes);
    b->room = b->part ? bytes : 0;
    if (!b->part) return fail(E_MEMORY, "out of memory");
  }
  double begin = cpu_s();
  TRY(jpeg_decode(r.bytes, r.size, &b->whole));
  b->full_s += cpu_s() - begin;
  b->images++;
  const struct extent e = {r.width, r.height};
  policy_sample(b->policy, (uint64_t)o->seed, (uint64_t)round, (uint32_t)id, e, e, draws);
  const int32_t shrink = policy_shrink(b->policy, draws);
  TRY(decode_part(b, &r, draws[0].crop, shrink, &b->crop_s));
  TRY(decode_part(b, &r, policy_region(b->policy, draws), shrink, &b->pair_s));
out:
  image_free(&b->whole);
  return st;
}

static enum status run(void *state) {
  const struct options *o = state;
  struct bench b = {0};
  enum status st;
  TRY(dataset_open(&b.dataset, o->dataset));
  TRY(policy_load(&b.policy, o->policy, (int32_t)o->size));
  TRY(jpeg_decoder_open(&b.decoder));
  const struct split *split = &dataset_info(b.dataset)->splits[0];
  for (int64_t round = 0; round < o->rounds; round++)
    for (int64_t i = 0; i < split->count; i++) TRY(decode_image(&b, o, split->entries[i].id, round));
  double n = (double)b.images;
  printf("{\"images\": %" PRIu64
         ", \"full_per_s\": %.1f, \"one_crop_per_s\": %.1f, \"all_views_per_s\": %.1f, "
         "\"parts\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"different\": %" PRIu64 "}\n",
         b.images, n / b.full_s, n / b.crop_s, n / b.pair_s, b.parts, b.bytes, b.different);
out:
  jpeg_decoder_close(&b.decoder);
  policy_close(&b.policy);
  dataset_close(&b.dataset);
  free(b.part);
  return st;
}

int main(int argc, char **argv) {
  const struct command commands[] = {
      {NULL, "decodes a dataset's JPEGs, whole and in part", sizeof(struct options), opts, NULL, run}, {0}};
  const struct program program = {"jpeg", "speed of JPEG decoding", commands};
  return cli_main(&program, argc, argv);
}
