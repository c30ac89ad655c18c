#include "decode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "image/shrink.h"
#include "store/record.h"
#include "transform/policy.h"

struct decode_thread {
  struct jpeg_decoder *jpeg;
  struct record_scratch scratch;
  uint64_t bytes_read; /* of the shard in hand */
};

enum status decode_open(struct decode *d, const struct cli_list *paths, int64_t threads) {
  if (paths->count > DATASETS_MAX) return fail(E_ARG, "at most %d datasets", DATASETS_MAX);
  for (size_t i = 0; i < paths->count; i++) {
    enum status st = dataset_open(&d->datasets[i], paths->items[i]);
    if (st != OK) return st;
    d->fingerprints[d->n++] = text_of(dataset_info(d->datasets[i])->fingerprint);
  }
  enum status st = pool_open(&d->pool, threads);
  if (st != OK) return st;
  d->threads = calloc((size_t)threads, sizeof *d->threads);
  if (!d->threads) return fail(E_MEMORY, "out of memory");
  for (int i = 0; st == OK && i < pool_threads(d->pool); i++) st = jpeg_decoder_open(&d->threads[i].jpeg);
  return st;
}

void decode_close(struct decode *d) {
  for (size_t i = 0; i < DATASETS_MAX; i++) dataset_close(&d->datasets[i]);
  policy_cache_close(&d->policy);
  for (int i = 0; d->threads && i < pool_threads(d->pool); i++) {
    jpeg_decoder_close(&d->threads[i].jpeg);
    record_scratch_free(&d->threads[i].scratch);
  }
  free(d->threads);
  d->threads = NULL;
  pool_close(&d->pool);
}

static struct dataset *find_dataset(const struct decode *d, struct text fingerprint) {
  for (size_t i = 0; i < d->n; i++)
    if (text_equal(d->fingerprints[i], fingerprint)) return d->datasets[i];
  fail(E_NOT_FOUND, "no dataset with fingerprint %.*s here", TEXT_ARG(fingerprint));
  return NULL;
}

/* Ids count up in ingest order, so every split is sorted by id. */
static const struct index_entry *find_entry(const struct dataset_info *info, uint64_t id) {
  for (size_t s = 0; s < info->n_splits; s++) {
    const struct index_entry *e = info->splits[s].entries;
    int64_t low = 0, high = info->splits[s].count;
    while (low < high) {
      int64_t middle = low + (high - low) / 2;
      if (e[middle].id < id)
        low = middle + 1;
      else
        high = middle;
    }
    if (low < info->splits[s].count && e[low].id == id) return &e[low];
  }
  return NULL;
}

static enum status find_extents(const struct dataset_info *info, const struct ticket *t, struct extent *out) {
  for (uint32_t i = 0; i < t->ids.count; i++) {
    const struct index_entry *e = find_entry(info, t->ids.at[i]);
    if (!e) return fail(E_NOT_FOUND, "dataset '%s' has no sample %" PRIu64, info->name, t->ids.at[i]);
    out[i] = (struct extent){e->width, e->height};
  }
  return OK;
}

/* Where each image's region lies in the original and in the payload. */
static enum status plan_regions(const struct policy *policy, const struct extent *extents, struct work *work,
                                struct rect *regions, int32_t *shrink, uint64_t *bytes) {
  const struct ticket *t = &work->ticket;
  struct message *m = &work->output;
  uint32_t n = t->ids.count;
  uint64_t *height = work_numbers(work, &m->height, n), *width = work_numbers(work, &m->width, n);
  uint64_t *left = work_numbers(work, &m->left, n), *top = work_numbers(work, &m->top, n);
  uint64_t *whole_height = work_numbers(work, &m->whole_height, n);
  uint64_t *whole_width = work_numbers(work, &m->whole_width, n);
  uint64_t *offset = work_numbers(work, &m->offset, n);
  if (!height || !width || !left || !top || !whole_height || !whole_width || !offset) return E_MEMORY;
  struct view_draw draws[POLICY_MAX_VIEWS];
  *bytes = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t partner = (i ^ 1U) < n ? i ^ 1U : i; /* `first` is even */
    policy_sample(policy, t->seed, t->step, (uint32_t)t->first + i, extents[i], extents[partner], draws);
    shrink[i] = policy_shrink(policy, draws);
    struct rect r = regions[i] = shrink_rect(policy_region(policy, draws), shrink[i]);
    height[i] = (uint64_t)r.height;
    width[i] = (uint64_t)r.width;
    left[i] = (uint64_t)r.left;
    top[i] = (uint64_t)r.top;
    whole_height[i] = (uint64_t)extents[i].height;
    whole_width[i] = (uint64_t)extents[i].width;
    offset[i] = *bytes;
    *bytes += height[i] * width[i] * 3;
  }
  return OK;
}

static void copy_region(const uint8_t *pixels, struct extent whole, int32_t shrink, struct rect r,
                        uint8_t *out) {
  if (shrink > 1) {
    shrink_rgb8(pixels, whole, shrink, r, out);
    return;
  }
  size_t row = (size_t)r.width * 3;
  for (int32_t y = 0; y < r.height; y++)
    memcpy(out + (size_t)y * row, pixels + ((size_t)(r.top + y) * (size_t)whole.width + (size_t)r.left) * 3,
           row);
}

/* A shard in hand, which the threads share. */
struct shard {
  struct decode *decode;
  struct dataset *dataset;
  struct work *work;
  const struct extent *extents;
  const struct rect *regions; /* counted in the shrunken image's pixels */
  const int32_t *shrink;
  uint8_t *pixels;
};

static enum status decode_sample(void *context, uint32_t i, int thread) {
  const struct shard *s = context;
  struct decode_thread *own = &s->decode->threads[thread];
  uint64_t id = s->work->ticket.ids.at[i];
  uint8_t *out = s->pixels + s->work->output.offset.at[i];
  struct extent expected = s->extents[i];
  struct record record = {0};
  enum status st = dataset_read_shared(s->dataset, &own->scratch, id, &record);
  if (st != OK) return st;
  own->bytes_read += record.size;
  const struct jpeg_file jpeg = {record.bytes,    record.size,       expected,
                                 record.restarts, record.n_restarts, s->shrink[i]};
  if (record.width != expected.width || record.height != expected.height)
    st = fail(E_FORMAT, "has another size than the index says");
  else if (record.encoding == ENCODING_RGB8)
    copy_region(record.bytes, expected, s->shrink[i], s->regions[i], out);
  else
    st = jpeg_decode_region(own->jpeg, &jpeg, s->regions[i], out);
  const char *name = dataset_info(s->dataset)->name;
  return st == OK ? OK : fail_within(st, "dataset '%s', sample %" PRIu64, name, id);
}

static void alive(void *context) { work_alive(((struct shard *)context)->work); }

static enum status decode_samples(struct shard *s) {
  struct decode *d = s->decode;
  for (int i = 0; i < pool_threads(d->pool); i++) d->threads[i].bytes_read = 0;
  enum status st = pool_run(d->pool, &(struct pool_job){s->work->ticket.ids.count, s, decode_sample, alive});
  for (int i = 0; i < pool_threads(d->pool); i++) s->work->bytes_read += d->threads[i].bytes_read;
  return st;
}

enum status decode_shard(void *state, struct work *work) {
  struct decode *d = state;
  const struct ticket *t = &work->ticket;
  struct extent extents[SHARD_IMAGES] = {0};
  struct rect regions[SHARD_IMAGES] = {0};
  int32_t shrink[SHARD_IMAGES] = {0};
  struct dataset *dataset = find_dataset(d, t->dataset);
  if (!dataset) return E_NOT_FOUND;
  const struct policy *policy = NULL;
  uint64_t bytes = 0;
  enum status st = policy_cached(&d->policy, t->policy, &policy);
  if (st == OK) st = find_extents(dataset_info(dataset), t, extents);
  if (st == OK) st = plan_regions(policy, extents, work, regions, shrink, &bytes);
  if (st != OK) return st;
  if (bytes > DECODED_BYTES_MAX)
    return fail(E_ARG,
                "a shard of %u images has %.1f GB of pixels and at most %.1f can travel; lower --shard",
                t->ids.count, (double)bytes / 1e9, (double)DECODED_BYTES_MAX / 1e9);
  uint8_t *pixels = work_payload(work, FRAME_PIXELS, bytes);
  if (!pixels) return E_MEMORY;
  return decode_samples(&(struct shard){d, dataset, work, extents, regions, shrink, pixels});
}
