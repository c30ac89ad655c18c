/* Reading a dataset: one read transaction for as long as it is open, since nothing ever changes in a
 * published file, so records are handed out where LMDB has mapped them. */
#include "store/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "store/layout.h"
#include "store/lmdb_file.h"
#include "store/lmdb_status.h"
#include "store/record.h"
#include "store/unpack.h"

struct dataset {
  char *path;
  struct lmdb_reader file;
  MDB_dbi samples;
  struct dataset_info info;
  struct split splits[MAX_SPLITS];
  char *text, *text_at, *text_end; /* every string of `info`, zero-terminated, one after the other */
  const char **names;              /* classes, then attributes */
  struct index_entry *entries;     /* all splits, one after the other */
  struct record_scratch scratch;
  MDB_val plan; /* the packed classes and attributes, as fingerprinted */
};

const struct lmdb_kind dataset_kind = {"dataset", "tandem-ingest makes one", "ingest the images again"};

static const char *const verb = "read the dataset";

/* --- meta
 * ------------------------------------------------------------------------------------------------------- */

static enum status malformed(const char *what) {
  return fail(E_FORMAT, "malformed: bad %s in its description", what);
}

/* Looks for the version alone, before anything that may have changed with it. */
static enum status check_version(const uint8_t *bytes, size_t size) {
  struct unpack u = {bytes, bytes + size};
  size_t n;
  struct slice key;
  int64_t version;
  if (!unpack_map(&u, &n)) return malformed("map");
  for (size_t i = 0; i < n; i++) {
    if (!unpack_str(&u, &key)) return malformed("key");
    if (!slice_is(key, "version")) {
      if (!unpack_skip(&u)) return malformed("value");
      continue;
    }
    if (!unpack_int(&u, 0, INT64_MAX, &version)) return malformed("version");
    if (version == DATASET_VERSION) return OK;
    return fail(E_VERSION,
                "a dataset of version %lld, but this build reads version %d; ingest the images again",
                (long long)version, DATASET_VERSION);
  }
  return malformed("version");
}

static bool is_key(struct unpack *u, const char *name) {
  struct slice key;
  return unpack_str(u, &key) && slice_is(key, name);
}

static bool read_text(struct unpack *u, struct dataset *d, const char **out) {
  struct slice s;
  if (!unpack_str(u, &s) || s.size == 0 || s.size > 255 || memchr(s.bytes, 0, s.size)) return false;
  if ((size_t)(d->text_end - d->text_at) <= s.size) return false;
  memcpy(d->text_at, s.bytes, s.size);
  d->text_at[s.size] = '\0';
  *out = d->text_at;
  d->text_at += s.size + 1;
  return true;
}

/* A list of strings; *names moves on behind them. */
static bool read_names(struct unpack *u, struct dataset *d, const char ***names, size_t *n) {
  if (!unpack_array(u, n)) return false;
  for (size_t i = 0; i < *n; i++)
    if (!read_text(u, d, &(*names)[i])) return false;
  *names += *n;
  return true;
}

static bool read_splits(struct unpack *u, struct dataset *d) {
  size_t n, two;
  int64_t count;
  if (!unpack_array(u, &n) || n > MAX_SPLITS) return false;
  for (size_t i = 0; i < n; i++) {
    if (!unpack_array(u, &two) || two != 2 || !read_text(u, d, &d->splits[i].name)) return false;
    if (strlen(d->splits[i].name) > MAX_SPLIT_NAME || !unpack_int(u, 0, INT64_MAX / MAX_SPLITS, &count))
      return false;
    d->splits[i].count = count;
  }
  d->info.splits = d->splits;
  d->info.n_splits = n;
  return true;
}

static bool read_triple(struct unpack *u, double value[3]) {
  size_t n;
  return unpack_array(u, &n) && n == 3 && unpack_float(u, &value[0]) && unpack_float(u, &value[1]) &&
         unpack_float(u, &value[2]);
}

static enum status read_description(struct dataset *d, struct unpack *u) {
  const char **names = d->names, *format, *fingerprint;
  int64_t version;
  d->info.classes = names;
  if (!is_key(u, "format") || !read_text(u, d, &format) || strcmp(format, DATASET_FORMAT) != 0)
    return malformed("format");
  if (!is_key(u, "version") || !unpack_int(u, DATASET_VERSION, DATASET_VERSION, &version))
    return malformed("version");
  d->plan.mv_data = (void *)(uintptr_t)u->at;
  if (!is_key(u, "classes") || !read_names(u, d, &names, &d->info.n_classes)) return malformed("classes");
  d->info.attributes = names;
  if (!is_key(u, "attributes") || !read_names(u, d, &names, &d->info.n_attributes))
    return malformed("attributes");
  d->plan.mv_size = (size_t)(u->at - (const uint8_t *)d->plan.mv_data);
  if (!is_key(u, "name") || !read_text(u, d, &d->info.name)) return malformed("name");
  if (!is_key(u, "splits") || !read_splits(u, d)) return malformed("splits");
  if (!is_key(u, "mean") || !read_triple(u, d->info.mean)) return malformed("mean");
  if (!is_key(u, "std") || !read_triple(u, d->info.std)) return malformed("std");
  if (!is_key(u, "fingerprint") || !read_text(u, d, &fingerprint) || strlen(fingerprint) != FINGERPRINT_HEX)
    return malformed("fingerprint");
  d->info.fingerprint = fingerprint;
  return u->at == u->end ? OK : malformed("end");
}

static enum status load_meta(struct dataset *d) {
  enum status st = OK;
  MDB_dbi dbi;
  MDB_val key = {strlen(META_KEY), (void *)(uintptr_t)META_KEY}, value;
  int rc = mdb_dbi_open(d->file.txn, DB_META, 0, &dbi);
  if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
    return fail(E_FORMAT, "not a dataset but another LMDB file");
  TRY_LMDB(rc, verb, d->path);
  TRY_LMDB(mdb_get(d->file.txn, dbi, &key, &value), verb, d->path);
  const uint8_t *bytes = value.mv_data;
  TRY(check_version(bytes, value.mv_size));
  TRY(seal_check(bytes, value.mv_size, 0));
  d->text = d->text_at =
      malloc(2 * value.mv_size); /* a string takes a tag of a byte at least, and a zero here */
  d->names = calloc(value.mv_size, sizeof *d->names);
  if (!d->text || !d->names) return fail(E_MEMORY, "out of memory");
  d->text_end = d->text + 2 * value.mv_size;
  struct unpack u = {bytes + SEAL_BYTES, bytes + value.mv_size};
  TRY(read_description(d, &u));
out:
  return st;
}

/* --- Indexes
 * ---------------------------------------------------------------------------------------------------- */

static bool entry_is_valid(const struct dataset *d, const struct index_entry *e, size_t samples) {
  return e->id < samples && e->label >= -1 && e->label < (int64_t)d->info.n_classes && e->width > 0 &&
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
  for (size_t i = 0; i < d->info.n_splits; i++) total += d->splits[i].count;
  if ((uint64_t)total != stat.ms_entries)
    return fail(E_FORMAT, "damaged: its splits have %lld samples, its store %zu", (long long)total,
                stat.ms_entries);
  struct index_entry *at = d->entries = malloc(((size_t)total + 1) * sizeof *at);
  if (!at) return fail(E_MEMORY, "out of memory for an index of %lld samples", (long long)total);
  for (size_t i = 0; i < d->info.n_splits; i++) {
    TRY(load_index(d, &d->splits[i], at, stat.ms_entries));
    d->splits[i].entries = at;
    at += d->splits[i].count;
  }
out:
  return st;
}

/* --- The interface
 * ------------------------------------------------------------------------------------------------ */

enum status dataset_open(struct dataset **out, const char *path) {
  *out = NULL;
  enum status st;
  struct dataset *d = calloc(1, sizeof *d);
  if (!d || !(d->path = strdup(path))) {
    free(d);
    return fail(E_MEMORY, "out of memory while opening %s", path);
  }
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
  free(d->names);
  free(d->text);
  free(d->path);
  free(d);
}

const struct dataset_info *dataset_info(const struct dataset *dataset) { return &dataset->info; }

const struct split *dataset_split(const struct dataset *d, const char *name) {
  char known[512] = "";
  for (size_t i = 0; i < d->info.n_splits; i++) {
    if (strcmp(d->splits[i].name, name) == 0) return &d->splits[i];
    size_t n = strlen(known);
    snprintf(known + n, sizeof known - n, " %s", d->splits[i].name);
  }
  fail(E_NOT_FOUND, "%s has no split '%s'; it has:%s", d->path, name, known);
  return NULL;
}

static enum status get(struct dataset *d, uint64_t id, MDB_val *value) {
  uint8_t bytes[KEY_BYTES];
  MDB_val key = {sizeof bytes, bytes};
  layout_key(id, bytes);
  int rc = mdb_get(d->file.txn, d->samples, &key, value);
  if (rc == MDB_NOTFOUND) return fail(E_NOT_FOUND, "%s has no sample %llu", d->path, (unsigned long long)id);
  return rc ? lmdb_fail(rc, verb, d->path) : OK;
}

enum status dataset_read(struct dataset *d, uint64_t id, struct record *record) {
  enum status st;
  MDB_val value;
  TRY(get(d, id, &value));
  st = record_unpack(value.mv_data, value.mv_size, id, record, &d->scratch);
  if (st == OK && record_check(record, d->info.n_classes, d->info.n_attributes) != OK) st = E_FORMAT;
  if (st != OK) fail_within(st, "%s: sample %llu", d->path, (unsigned long long)id);
out:
  return st;
}

/* The same walk as the writer's: names, records in key order, then each split's name and packed index. */
enum status dataset_verify(struct dataset *d) {
  enum status st = OK;
  struct record record;
  char text[FINGERPRINT_HEX + 1];
  uint64_t id = 0;
  XXH3_state_t *hash = XXH3_createState();
  if (!hash) return fail(E_MEMORY, "out of memory");
  XXH3_128bits_reset(hash);
  XXH3_128bits_update(hash, d->plan.mv_data, d->plan.mv_size);
  for (size_t i = 0; i < d->info.n_splits; i++)
    for (int64_t j = 0; j < d->splits[i].count; j++, id++) {
      MDB_val value;
      TRY(dataset_read(d, id, &record));
      TRY(get(d, id, &value));
      XXH3_128bits_update(hash, value.mv_data, value.mv_size);
    }
  for (size_t i = 0; i < d->info.n_splits; i++) {
    XXH3_128bits_update(hash, d->splits[i].name, strlen(d->splits[i].name) + 1);
    for (int64_t j = 0; j < d->splits[i].count; j++) {
      uint8_t entry[INDEX_BYTES];
      layout_put_entry(&d->splits[i].entries[j], entry);
      XXH3_128bits_update(hash, entry, sizeof entry);
    }
  }
  XXH128_hash_t sum = XXH3_128bits_digest(hash);
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)sum.high64,
           (unsigned long long)sum.low64);
  if (strcmp(text, d->info.fingerprint) != 0)
    st = fail(E_FORMAT, "%s is damaged: its content does not match its fingerprint; ingest the images again",
              d->path);
out:
  XXH3_freeState(hash);
  return st;
}
