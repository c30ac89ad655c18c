/* Reading a dataset: one read transaction for as long as it is open, since nothing ever changes in a
 * published file, so records are handed out where LMDB has mapped them. */
#include "store/dataset.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "store/description.h"
#include "store/lmdb_file.h"
#include "store/lmdb_status.h"
#include "store/record.h"

struct dataset {
  char *path;
  struct lmdb_reader file;
  MDB_dbi samples;
  struct description about;
  struct index_entry *entries; /* all splits, one after the other */
  struct record_scratch scratch;
  pthread_mutex_t lock; /* of `file.txn`: one look-up at a time */
};

const struct lmdb_kind dataset_kind = {"dataset", "tandem-ingest makes one", "ingest the images again"};

static const char *const verb = "read the dataset";

static enum status load_meta(struct dataset *d) {
  MDB_val value;
  enum status st = lmdb_reader_meta(&d->file, d->path, &dataset_kind, META_KEY, &value);
  return st == OK ? description_parse(&d->about, value.mv_data, value.mv_size) : st;
}

/* --- Indexes --- */

static bool entry_is_valid(const struct dataset *d, const struct index_entry *e, size_t samples) {
  return e->id < samples && e->label >= -1 && e->label < (int64_t)d->about.info.n_classes && e->width > 0 &&
         e->height > 0;
}

static enum status load_index(struct dataset *d, const struct split *split, struct index_entry *entries,
                              size_t samples) {
  enum status st = OK;
  MDB_dbi dbi;
  uint8_t key[KEY_BYTES];
  char name[sizeof DB_INDEX + MAX_SPLIT_NAME];
  snprintf(name, sizeof name, DB_INDEX "%s", split->name);
  TRY_LMDB(mdb_dbi_open(d->file.txn, name, 0, &dbi), verb, d->path);
  for (int64_t i = 0; i < split->count;) {
    MDB_val k = {sizeof key, key}, v;
    layout_key((uint64_t)i / INDEX_CHUNK, key);
    TRY_LMDB(mdb_get(d->file.txn, dbi, &k, &v), verb, d->path);
    size_t want = split->count - i < INDEX_CHUNK ? (size_t)(split->count - i) : INDEX_CHUNK;
    if (v.mv_size != want * INDEX_BYTES)
      return fail(E_FORMAT, "damaged: the index of split %s has a wrong size", split->name);
    for (size_t j = 0; j < want; j++, i++) {
      entries[i] = layout_get_entry((const uint8_t *)v.mv_data + j * INDEX_BYTES);
      if (!entry_is_valid(d, &entries[i], samples))
        return fail(E_FORMAT, "damaged: entry %lld of the index of split %s", (long long)i, split->name);
    }
  }
out:
  return st;
}

static enum status load_indexes(struct dataset *d) {
  enum status st = OK;
  MDB_stat stat;
  int64_t total = 0;
  TRY_LMDB(mdb_dbi_open(d->file.txn, DB_SAMPLES, 0, &d->samples), verb, d->path);
  TRY_LMDB(mdb_stat(d->file.txn, d->samples, &stat), verb, d->path);
  for (size_t i = 0; i < d->about.info.n_splits; i++) total += d->about.splits[i].count;
  if ((uint64_t)total != stat.ms_entries)
    return fail(E_FORMAT, "damaged: its splits have %lld samples, its store %zu", (long long)total,
                stat.ms_entries);
  struct index_entry *at = d->entries = malloc(((size_t)total + 1) * sizeof *at);
  if (!at) return fail(E_MEMORY, "out of memory for an index of %lld samples", (long long)total);
  for (size_t i = 0; i < d->about.info.n_splits; i++) {
    TRY(load_index(d, &d->about.splits[i], at, stat.ms_entries));
    d->about.splits[i].entries = at;
    at += d->about.splits[i].count;
  }
out:
  return st;
}

/* --- The interface --- */

enum status dataset_open(struct dataset **out, const char *path) {
  *out = NULL;
  enum status st;
  struct dataset *d = calloc(1, sizeof *d);
  if (!d || !(d->path = strdup(path))) {
    free(d);
    return fail(E_MEMORY, "out of memory while opening %s", path);
  }
  pthread_mutex_init(&d->lock, NULL);
  TRY(lmdb_reader_open(&d->file, path, &dataset_kind, MAX_DBS));
  if ((st = load_meta(d)) != OK || (st = load_indexes(d)) != OK) {
    fail_within(st, "%s", path);
    goto out;
  }
  *out = d;
  d = NULL;
out:
  dataset_close(&d);
  return st;
}

void dataset_close(struct dataset **dataset) {
  struct dataset *d = *dataset;
  *dataset = NULL;
  if (!d) return;
  lmdb_reader_close(&d->file);
  record_scratch_free(&d->scratch);
  free(d->entries);
  description_free(&d->about);
  free(d->path);
  pthread_mutex_destroy(&d->lock);
  free(d);
}

const struct dataset_info *dataset_info(const struct dataset *dataset) { return &dataset->about.info; }

void dataset_normalization(const struct dataset *dataset, double mean[3], double std[3]) {
  const struct dataset_info *info = dataset_info(dataset);
  for (int c = 0; c < 3; c++) {
    mean[c] = info->mean[c];
    std[c] = info->std[c] > 0 ? info->std[c] : 1;
  }
}

const struct split *dataset_split(const struct dataset *d, const char *name) {
  char known[512] = "";
  for (size_t i = 0; i < d->about.info.n_splits; i++) {
    if (strcmp(d->about.splits[i].name, name) == 0) return &d->about.splits[i];
    size_t n = strlen(known);
    snprintf(known + n, sizeof known - n, " %s", d->about.splits[i].name);
  }
  fail(E_NOT_FOUND, "%s has no split '%s'; it has:%s", d->path, name, known);
  return NULL;
}

static enum status get(struct dataset *d, uint64_t id, MDB_val *value) {
  uint8_t bytes[KEY_BYTES];
  MDB_val key = {sizeof bytes, bytes};
  layout_key(id, bytes);
  pthread_mutex_lock(&d->lock);
  int rc = mdb_get(d->file.txn, d->samples, &key, value);
  pthread_mutex_unlock(&d->lock);
  if (rc == MDB_NOTFOUND) return fail(E_NOT_FOUND, "%s has no sample %llu", d->path, (unsigned long long)id);
  return rc ? lmdb_fail(rc, verb, d->path) : OK;
}

enum status dataset_read_shared(struct dataset *d, struct record_scratch *scratch, uint64_t id,
                                struct record *record) {
  enum status st;
  MDB_val value;
  TRY(get(d, id, &value));
  st = record_unpack(value.mv_data, value.mv_size, id, record, scratch);
  if (st == OK && record_check(record, d->about.info.n_classes, d->about.info.n_attributes) != OK)
    st = E_FORMAT;
  if (st != OK) fail_within(st, "%s: sample %llu", d->path, (unsigned long long)id);
out:
  return st;
}

enum status dataset_read(struct dataset *d, uint64_t id, struct record *record) {
  return dataset_read_shared(d, &d->scratch, id, record);
}

static void count_contents(struct dataset_contents *c, const struct record *r) {
  c->jpeg += r->encoding == ENCODING_JPEG;
  c->rgb8 += r->encoding == ENCODING_RGB8;
  c->restarts += r->n_restarts > 0;
  c->bytes += (int64_t)r->size;
}

/* The same walk as the writer's: names, records in key order, then each split's name and packed index. */
enum status dataset_verify(struct dataset *d, struct dataset_contents *contents) {
  enum status st = OK;
  struct dataset_contents found = {0};
  struct record record;
  char text[FINGERPRINT_HEX + 1];
  uint64_t id = 0;
  XXH3_state_t *hash = XXH3_createState();
  if (!hash) return fail(E_MEMORY, "out of memory");
  XXH3_128bits_reset(hash);
  XXH3_128bits_update(hash, d->about.plan, d->about.plan_size);
  for (size_t i = 0; i < d->about.info.n_splits; i++)
    for (int64_t j = 0; j < d->about.splits[i].count; j++, id++) {
      MDB_val value;
      TRY(dataset_read(d, id, &record));
      TRY(get(d, id, &value));
      XXH3_128bits_update(hash, value.mv_data, value.mv_size);
      count_contents(&found, &record);
    }
  for (size_t i = 0; i < d->about.info.n_splits; i++) {
    XXH3_128bits_update(hash, d->about.splits[i].name, strlen(d->about.splits[i].name) + 1);
    for (int64_t j = 0; j < d->about.splits[i].count; j++) {
      uint8_t entry[INDEX_BYTES];
      layout_put_entry(&d->about.splits[i].entries[j], entry);
      XXH3_128bits_update(hash, entry, sizeof entry);
    }
  }
  XXH128_hash_t sum = XXH3_128bits_digest(hash);
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)sum.high64,
           (unsigned long long)sum.low64);
  if (strcmp(text, d->about.info.fingerprint) != 0)
    st = fail(E_FORMAT, "%s is damaged: its content does not match its fingerprint; ingest the images again",
              d->path);
  if (contents) *contents = found;
out:
  XXH3_freeState(hash);
  return st;
}
