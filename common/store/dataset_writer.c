/* Writing a dataset: records as they come, then the indexes and the meta map. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <xxhash.h>

#include "store/layout.h"
#include "store/lmdb_file.h"
#include "store/record.h"

struct split_entries {
  char name[MAX_SPLIT_NAME + 1];
  struct index_entry *entries;
  size_t count, room;
};

struct dataset_writer {
  struct lmdb_writer file;
  MDB_dbi samples;
  msgpack_sbuffer plan, scratch; /* plan: packed entries "name", "classes", "attributes" of the meta map */
  size_t n_classes, n_attributes, n_splits;
  struct split_entries splits[MAX_SPLITS];
  uint64_t next_id;
  XXH3_state_t *hash;
};

/* --- The plan and the splits --- */

static enum status pack_name(msgpack_packer *p, const char *what, const char *name) {
  size_t n = name ? strlen(name) : 0;
  json_t *text = n ? json_stringn(name, n) : NULL; /* NULL unless UTF-8 */
  if (!text || n > 255) {
    json_decref(text);
    return fail(E_ARG, "the %s name '%.80s' is empty, longer than 255 bytes or not UTF-8", what,
                name ? name : "");
  }
  json_decref(text);
  msgpack_pack_str_with_body(p, name, n);
  return OK;
}

static void pack_key(msgpack_packer *p, const char *key) { msgpack_pack_str_with_body(p, key, strlen(key)); }

static enum status pack_names(msgpack_packer *p, const char *key, const char *what, const char *const *names,
                              size_t n) {
  enum status st = OK;
  pack_key(p, key);
  msgpack_pack_array(p, n);
  for (size_t i = 0; i < n; i++) TRY(pack_name(p, what, names[i]));
out:
  return st;
}

static enum status pack_plan(struct dataset_writer *w, const struct dataset_plan *plan) {
  enum status st;
  msgpack_packer p;
  msgpack_packer_init(&p, &w->plan, msgpack_sbuffer_write);
  w->n_classes = plan->n_classes;
  w->n_attributes = plan->n_attributes;
  TRY(pack_names(&p, "classes", "class", plan->classes, plan->n_classes));
  TRY(pack_names(&p, "attributes", "attribute", plan->attributes, plan->n_attributes));
  XXH3_128bits_update(w->hash, w->plan.data,
                      w->plan.size); /* the dataset's own name is no part of the fingerprint */
  pack_key(&p, "name");
  TRY(pack_name(&p, "dataset", plan->name));
out:
  return st;
}

enum status dataset_writer_split(struct dataset_writer *w, const char *name) {
  size_t n = strlen(name);
  bool ok = n > 0 && n <= MAX_SPLIT_NAME;
  for (const char *c = name; *c; c++) ok = ok && (isalnum((unsigned char)*c) || *c == '-' || *c == '_');
  if (!ok)
    return fail(E_ARG, "the split name '%.80s' is not made of 1 to %d letters, digits, - or _", name,
                MAX_SPLIT_NAME);
  for (size_t i = 0; i < w->n_splits; i++)
    if (strcmp(w->splits[i].name, name) == 0) return fail(E_ARG, "two splits are called %s", name);
  if (w->n_splits == MAX_SPLITS) return fail(E_ARG, "more than %d splits", MAX_SPLITS);
  memcpy(w->splits[w->n_splits++].name, name, n + 1);
  return OK;
}

/* --- Opening, adding, committing --- */

enum status dataset_writer_open(struct dataset_writer **out, const char *path,
                                const struct dataset_plan *plan, bool replace) {
  *out = NULL;
  enum status st;
  struct dataset_writer *w = calloc(1, sizeof *w);
  if (!w || !(w->hash = XXH3_createState())) {
    free(w);
    return fail(E_MEMORY, "out of memory while opening %s", path);
  }
  XXH3_128bits_reset(w->hash);
  TRY(pack_plan(w, plan));
  TRY(lmdb_writer_open(&w->file, path, &dataset_kind, replace, MAX_DBS));
  TRY(lmdb_writer_database(&w->file, DB_SAMPLES, &w->samples));
  *out = w;
  w = NULL;
out:
  dataset_writer_abort(&w);
  return st;
}

static enum status index_push(struct split_entries *s, struct index_entry entry) {
  if (s->count == s->room) {
    size_t room = s->room ? 2 * s->room : 1024;
    struct index_entry *grown = realloc(s->entries, room * sizeof *grown);
    if (!grown) return fail(E_MEMORY, "out of memory for the index of split %s", s->name);
    s->entries = grown;
    s->room = room;
  }
  s->entries[s->count++] = entry;
  return OK;
}

enum status dataset_writer_add(struct dataset_writer *w, const struct record *record) {
  enum status st;
  uint8_t key[KEY_BYTES];
  if (w->n_splits == 0) return fail(E_ARG, "a sample was added before any split was declared");
  TRY(record_check(record, w->n_classes, w->n_attributes));
  w->scratch.size = 0;
  TRY(record_pack(record, w->next_id, &w->scratch));
  TRY(index_push(&w->splits[w->n_splits - 1],
                 (struct index_entry){w->next_id, record->label, record->width, record->height}));
  layout_key(w->next_id, key);
  TRY(lmdb_writer_put(&w->file, w->samples, key, sizeof key, w->scratch.data, w->scratch.size));
  XXH3_128bits_update(w->hash, w->scratch.data, w->scratch.size);
  w->next_id++;
out:
  return st;
}

static enum status write_index(struct dataset_writer *w, const struct split_entries *s) {
  enum status st = OK;
  MDB_dbi dbi;
  char name[sizeof DB_INDEX + MAX_SPLIT_NAME];
  uint8_t key[KEY_BYTES], *chunk = malloc((size_t)INDEX_CHUNK * INDEX_BYTES);
  if (!chunk) return fail(E_MEMORY, "out of memory for the index of split %s", s->name);
  snprintf(name, sizeof name, DB_INDEX "%s", s->name);
  TRY(lmdb_writer_database(&w->file, name, &dbi));
  XXH3_128bits_update(w->hash, s->name, strlen(s->name) + 1);
  for (size_t first = 0; first < s->count; first += INDEX_CHUNK) {
    size_t n = s->count - first < INDEX_CHUNK ? s->count - first : INDEX_CHUNK;
    for (size_t i = 0; i < n; i++) layout_put_entry(&s->entries[first + i], chunk + i * INDEX_BYTES);
    layout_key(first / INDEX_CHUNK, key);
    TRY(lmdb_writer_put(&w->file, dbi, key, sizeof key, chunk, n * INDEX_BYTES));
    XXH3_128bits_update(w->hash, chunk, n * INDEX_BYTES);
  }
out:
  free(chunk);
  return st;
}

static void pack_triple(msgpack_packer *p, const char *key, const double value[3]) {
  pack_key(p, key);
  msgpack_pack_array(p, 3);
  for (int c = 0; c < 3; c++) msgpack_pack_double(p, value[c]);
}

static enum status write_meta(struct dataset_writer *w, const double mean[3], const double std[3]) {
  enum status st = OK;
  MDB_dbi dbi;
  msgpack_packer p;
  XXH128_hash_t hash = XXH3_128bits_digest(w->hash);
  char fingerprint[FINGERPRINT_HEX + 1];
  snprintf(fingerprint, sizeof fingerprint, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  w->scratch.size = 0;
  msgpack_packer_init(&p, &w->scratch, msgpack_sbuffer_write);
  seal_begin(&p, 9);
  pack_key(&p, "format");
  pack_key(&p, DATASET_FORMAT);
  pack_key(&p, "version");
  msgpack_pack_int(&p, DATASET_VERSION);
  msgpack_sbuffer_write(&w->scratch, w->plan.data, w->plan.size);
  pack_key(&p, "splits");
  msgpack_pack_array(&p, w->n_splits);
  for (size_t i = 0; i < w->n_splits; i++) {
    msgpack_pack_array(&p, 2);
    pack_key(&p, w->splits[i].name);
    msgpack_pack_uint64(&p, w->splits[i].count);
  }
  pack_triple(&p, "mean", mean);
  pack_triple(&p, "std", std);
  pack_key(&p, "fingerprint");
  pack_key(&p, fingerprint);
  seal((uint8_t *)w->scratch.data, w->scratch.size, 0);
  TRY(lmdb_writer_database(&w->file, DB_META, &dbi));
  TRY(lmdb_writer_put(&w->file, dbi, META_KEY, strlen(META_KEY), w->scratch.data, w->scratch.size));
out:
  return st;
}

enum status dataset_writer_commit(struct dataset_writer **writer, const double mean[3], const double std[3]) {
  struct dataset_writer *w = *writer;
  enum status st = OK;
  for (int c = 0; c < 3; c++)
    if (!isfinite(mean[c]) || !isfinite(std[c])) {
      st = fail(E_ARG, "the channel mean or standard deviation is not finite");
      goto out;
    }
  for (size_t i = 0; i < w->n_splits; i++) TRY(write_index(w, &w->splits[i]));
  TRY(write_meta(w, mean, std));
  TRY(lmdb_writer_publish(&w->file));
out:
  dataset_writer_abort(writer);
  return st;
}

void dataset_writer_abort(struct dataset_writer **writer) {
  struct dataset_writer *w = *writer;
  *writer = NULL;
  if (!w) return;
  lmdb_writer_close(&w->file);
  for (size_t i = 0; i < w->n_splits; i++) free(w->splits[i].entries);
  msgpack_sbuffer_destroy(&w->plan);
  msgpack_sbuffer_destroy(&w->scratch);
  XXH3_freeState(w->hash);
  free(w);
}
