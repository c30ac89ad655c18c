/* Database "meta": one sealed msgpack map; "split.NAME": chunk number (u64, big-endian) -> xxh3-64 seeded
 * with that number, ids u64, labels i32, features f32, all little-endian. Chunks hold as many rows as fit
 * about 1 MiB. */
#include "store/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "store/features_meta.h"
#include "store/layout.h"
#include "store/lmdb_file.h"
#include "store/lmdb_status.h"

#define FEATURES_META "features"
#define DB_SPLIT      "split."

enum { CHUNK_BYTES = 1 << 20, SUM_BYTES = 8, MAX_KEY = 65536 };

static const struct lmdb_kind features_kind = {"feature store", "tandem-linear makes one",
                                               "delete it to have it made again"};

static size_t row_bytes(int64_t dim) {
  return sizeof(uint64_t) + sizeof(int32_t) + (size_t)dim * sizeof(float);
}
static int64_t chunk_rows(int64_t dim) {
  int64_t n = CHUNK_BYTES / (int64_t)row_bytes(dim);
  return n > 0 ? n : 1;
}

/* The parts of a chunk of n rows in memory; its sum stands before them. */
struct chunk {
  uint8_t *ids, *labels, *x, *end;
};

static struct chunk chunk_at(uint8_t *bytes, int64_t n, int64_t dim) {
  struct chunk c = {.ids = bytes + SUM_BYTES};
  c.labels = c.ids + (size_t)n * sizeof(uint64_t);
  c.x = c.labels + (size_t)n * sizeof(int32_t);
  c.end = c.x + (size_t)(n * dim) * sizeof(float);
  return c;
}

static uint64_t chunk_sum(const uint8_t *bytes, size_t size, uint64_t number) {
  return XXH3_64bits_withSeed(bytes + SUM_BYTES, size - SUM_BYTES, number);
}

static void split_database(char *out, size_t size, const char *name) {
  snprintf(out, size, DB_SPLIT "%s", name);
}

void feature_table_free(struct feature_table *table) {
  free(table->x);
  free(table->labels);
  free(table->ids);
  *table = (struct feature_table){0};
}

/* --- Writing --- */

struct features_writer {
  struct lmdb_writer file;
  struct features_meta meta;
  char *key;
  int64_t dim, rows; /* rows waiting for their chunk to be full */
  uint64_t chunks;   /* of this split, written so far */
  MDB_dbi dbi;
  uint8_t *chunk;
  float *x; /* [chunk_rows, dim], and so on: the rows that wait */
  int32_t *labels;
  uint64_t *ids;
};

enum status features_writer_open(struct features_writer **out, const char *path, const char *key,
                                 int64_t dim) {
  *out = NULL;
  if (dim < 1 || dim > FEATURES_MAX_DIM || strlen(key) > MAX_KEY)
    return fail(E_ARG, "cannot keep %lld features under a key of %zu bytes", (long long)dim, strlen(key));
  enum status st = OK;
  size_t n = (size_t)chunk_rows(dim);
  struct features_writer *w = calloc(1, sizeof *w);
  if (w) {
    w->dim = dim;
    w->key = strdup(key);
    w->chunk = malloc(SUM_BYTES + n * row_bytes(dim));
    w->x = malloc(n * (size_t)dim * sizeof *w->x);
    w->labels = malloc(n * sizeof *w->labels);
    w->ids = malloc(n * sizeof *w->ids);
  }
  if (!w || !w->key || !w->chunk || !w->x || !w->labels || !w->ids) {
    st = fail(E_MEMORY, "out of memory while opening %s", path);
    goto out;
  }
  TRY(lmdb_writer_open(&w->file, path, &features_kind, true, MAX_DBS));
  *out = w;
  w = NULL;
out:
  features_writer_abort(&w);
  return st;
}

static enum status flush(struct features_writer *w) {
  if (w->rows == 0) return OK;
  uint8_t key[KEY_BYTES];
  struct chunk c = chunk_at(w->chunk, w->rows, w->dim);
  for (int64_t i = 0; i < w->rows; i++) {
    layout_put(w->ids[i], 8, c.ids + 8 * i);
    layout_put((uint32_t)w->labels[i], 4, c.labels + 4 * i);
  }
  memcpy(c.x, w->x, (size_t)(c.end - c.x));
  size_t size = (size_t)(c.end - w->chunk);
  layout_put(chunk_sum(w->chunk, size, w->chunks), SUM_BYTES, w->chunk);
  layout_key(w->chunks++, key);
  w->rows = 0;
  return lmdb_writer_put(&w->file, w->dbi, key, sizeof key, w->chunk, size);
}

enum status features_writer_split(struct features_writer *w, const char *name) {
  enum status st;
  char database[sizeof DB_SPLIT + MAX_SPLIT_NAME];
  if (w->meta.n_splits == MAX_SPLITS || strlen(name) > MAX_SPLIT_NAME)
    return fail(E_ARG, "no room for the features of split '%.80s'", name);
  for (size_t i = 0; i < w->meta.n_splits; i++)
    if (strcmp(w->meta.splits[i].name, name) == 0) return fail(E_ARG, "two splits are called %s", name);
  TRY(flush(w));
  split_database(database, sizeof database, name);
  TRY(lmdb_writer_database(&w->file, database, &w->dbi));
  w->chunks = 0;
  snprintf(w->meta.splits[w->meta.n_splits++].name, MAX_SPLIT_NAME + 1, "%s", name);
out:
  return st;
}

enum status features_writer_add(struct features_writer *w, int64_t n, const uint64_t *ids,
                                const int32_t *labels, const float *x) {
  enum status st = OK;
  int64_t room = chunk_rows(w->dim);
  if (!w->meta.n_splits) return fail(E_ARG, "features were added before any split was declared");
  for (int64_t i = 0; i < n; i++) {
    memcpy(w->x + w->rows * w->dim, x + i * w->dim, (size_t)w->dim * sizeof *x);
    w->labels[w->rows] = labels[i];
    w->ids[w->rows] = ids[i];
    w->meta.splits[w->meta.n_splits - 1].count++;
    if (++w->rows == room) TRY(flush(w));
  }
out:
  return st;
}

static enum status write_meta(struct features_writer *w) {
  enum status st;
  MDB_dbi dbi;
  msgpack_sbuffer bytes;
  msgpack_sbuffer_init(&bytes);
  w->meta.dim = w->dim;
  w->meta.key = (struct slice){(const uint8_t *)w->key, strlen(w->key)};
  features_meta_pack(&w->meta, &bytes);
  TRY(lmdb_writer_database(&w->file, DB_META, &dbi));
  TRY(lmdb_writer_put(&w->file, dbi, FEATURES_META, strlen(FEATURES_META), bytes.data, bytes.size));
out:
  msgpack_sbuffer_destroy(&bytes);
  return st;
}

enum status features_writer_commit(struct features_writer **writer) {
  struct features_writer *w = *writer;
  enum status st;
  TRY(flush(w));
  TRY(write_meta(w));
  TRY(lmdb_writer_publish(&w->file));
out:
  features_writer_abort(writer);
  return st;
}

void features_writer_abort(struct features_writer **writer) {
  struct features_writer *w = *writer;
  *writer = NULL;
  if (!w) return;
  lmdb_writer_close(&w->file);
  free(w->key);
  free(w->chunk);
  free(w->x);
  free(w->labels);
  free(w->ids);
  free(w);
}

/* --- Reading --- */

static enum status load_meta(struct lmdb_reader *file, const char *path, struct features_meta *m) {
  MDB_val value;
  enum status st = lmdb_reader_meta(file, path, &features_kind, FEATURES_META, &value);
  return st == OK ? features_meta_parse(m, value.mv_data, value.mv_size) : st;
}

static void unpack_chunk(uint8_t *bytes, int64_t first, int64_t n, struct feature_table *t) {
  struct chunk c = chunk_at(bytes, n, t->dim);
  for (int64_t i = 0; i < n; i++) {
    t->ids[first + i] = layout_get(8, c.ids + 8 * i);
    t->labels[first + i] = (int32_t)layout_get(4, c.labels + 4 * i);
  }
  memcpy(t->x + first * t->dim, c.x, (size_t)(c.end - c.x));
}

static enum status load_split(struct lmdb_reader *file, const char *path, const struct feature_split *split,
                              struct feature_table *t) {
  enum status st = OK;
  MDB_dbi dbi;
  char database[sizeof DB_SPLIT + MAX_SPLIT_NAME];
  uint8_t bytes[KEY_BYTES];
  size_t n = (size_t)split->count;
  t->n = split->count;
  t->x = malloc((n * (size_t)t->dim + 1) * sizeof *t->x);
  t->labels = malloc((n + 1) * sizeof *t->labels);
  t->ids = malloc((n + 1) * sizeof *t->ids);
  if (!t->x || !t->labels || !t->ids)
    return fail(E_MEMORY, "out of memory for %zu x %lld features", n, (long long)t->dim);
  split_database(database, sizeof database, split->name);
  TRY_LMDB(mdb_dbi_open(file->txn, database, 0, &dbi), "read", path);
  for (int64_t first = 0, number = 0; first < t->n; number++) {
    int64_t rows = t->n - first < chunk_rows(t->dim) ? t->n - first : chunk_rows(t->dim);
    MDB_val key = {sizeof bytes, bytes}, value;
    layout_key((uint64_t)number, bytes);
    TRY_LMDB(mdb_get(file->txn, dbi, &key, &value), "read", path);
    if (value.mv_size != SUM_BYTES + (size_t)rows * row_bytes(t->dim) ||
        layout_get(SUM_BYTES, value.mv_data) != chunk_sum(value.mv_data, value.mv_size, (uint64_t)number))
      return fail(E_FORMAT, "damaged: rows %lld to %lld of split %s do not match their checksum",
                  (long long)first, (long long)(first + rows - 1), split->name);
    unpack_chunk(value.mv_data, first, rows, t);
    first += rows;
  }
out:
  return st;
}

enum status features_read(const char *path, const char *key, const char *const *splits, size_t n,
                          struct feature_table *tables) {
  enum status st;
  struct lmdb_reader file;
  struct features_meta m = {0};
  for (size_t i = 0; i < n; i++) tables[i] = (struct feature_table){0};
  if ((st = lmdb_reader_open(&file, path, &features_kind, MAX_DBS)) != OK) return st;
  TRY(load_meta(&file, path, &m));
  if (!slice_is(m.key, key)) {
    st = fail(E_NOT_FOUND, "made from other inputs or settings");
    goto out;
  }
  for (size_t i = 0; i < n; i++) {
    const struct feature_split *split = features_meta_split(&m, splits[i]);
    if (!split) {
      st = fail(E_NOT_FOUND, "has no split '%s'", splits[i]);
      goto out;
    }
    tables[i].dim = m.dim;
    TRY(load_split(&file, path, split, &tables[i]));
  }
out:
  lmdb_reader_close(&file);
  if (st == OK) return OK;
  for (size_t i = 0; i < n; i++) feature_table_free(&tables[i]);
  return fail_within(st, "%s", path);
}
