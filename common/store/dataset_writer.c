/* Writing a dataset: into PATH.tmp-PID-K, locked for as long as its writer lives, then renamed. The lock
 * tells the leftover of a dead writer, which the next one removes, from the file of a live one. Not
 * MDB_WRITEMAP: a full disk must be an error code, not SIGBUS. No LMDB lock file: nobody else sees the file
 * before it is final. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <xxhash.h>

#include "base/file.h"
#include "store/layout.h"
#include "store/lmdb_status.h"
#include "store/record.h"

enum {
  BATCH_BYTES = 16 << 20, /* per transaction: bounds the dirty pages in memory */
  RECORD_OVERHEAD = 8192, /* more than LMDB can need around one record */
  FIRST_MAP = 1 << 20
};

struct split_entries {
  char name[MAX_SPLIT_NAME + 1];
  struct index_entry *entries;
  size_t count, room;
};

struct dataset_writer {
  char path[PATH_MAX], temporary[PATH_MAX];
  bool replace, broken; /* broken: a write failed, so that what follows would not be the whole */
  int lock;             /* holds the flock on the temporary file; -1 before */
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi samples;
  size_t map, pending;           /* bytes of address space; bytes at most that the open transaction may add */
  msgpack_sbuffer plan, scratch; /* plan: packed entries "name", "classes", "attributes" of the meta map */
  size_t n_classes, n_attributes, n_splits;
  struct split_entries splits[MAX_SPLITS];
  uint64_t next_id;
  XXH3_state_t *hash;
};

static const char *const verb = "write the dataset";

/* --- The temporary file
 * ------------------------------------------------------------------------------------------- */

static void remove_if_dead(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(path);
  close(fd);
}

/* Removes what writers of `path` that were killed have left. */
static void remove_leftovers(const char *path) {
  char pattern[2 * PATH_MAX];
  size_t n = 0;
  for (const char *c = path; *c; c++) {
    if (strchr("*?[\\", *c)) pattern[n++] = '\\';
    pattern[n++] = *c;
  }
  strcpy(pattern + n, ".tmp-*-*");
  glob_t found;
  if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0) return;
  for (size_t i = 0; i < found.gl_pathc; i++) remove_if_dead(found.gl_pathv[i]);
  globfree(&found);
}

/* Creates and locks the temporary file. A cleaner may catch it between the two steps; then another name is
 * tried. */
static enum status create_temporary(struct dataset_writer *w) {
  for (int k = 0; k < 100; k++) {
    struct stat info;
    if (snprintf(w->temporary, sizeof w->temporary, "%s.tmp-%ld-%d", w->path, (long)getpid(), k) >=
        (int)sizeof w->temporary)
      break;
    int fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0)
      return fail(E_IO, "cannot create %s: %s%s", w->temporary, strerror(errno), file_advice(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &info) == 0 && info.st_nlink > 0) {
      w->lock = fd;
      return OK;
    }
    close(fd);
  }
  return fail(E_IO, "cannot make a temporary file beside %s: no free name", w->path);
}

/* --- Transactions and the map
 * --------------------------------------------------------------------------------------- */

/* Begins a transaction with address space for `bytes` more. */
static enum status begin(struct dataset_writer *w, size_t bytes) {
  enum status st = OK;
  MDB_envinfo info;
  MDB_stat stat;
  TRY_LMDB(mdb_env_info(w->env, &info), verb, w->path);
  TRY_LMDB(mdb_env_stat(w->env, &stat), verb, w->path);
  size_t need = (info.me_last_pgno + 1) * stat.ms_psize + bytes + 2 * (size_t)BATCH_BYTES;
  if (need > w->map) {
    while (w->map < need) w->map *= 2;
    TRY_LMDB(mdb_env_set_mapsize(w->env, w->map), verb, w->path);
  }
  TRY_LMDB(mdb_txn_begin(w->env, NULL, 0, &w->txn), verb, w->path);
  w->pending = 0;
out:
  return st;
}

static enum status commit(struct dataset_writer *w) {
  MDB_txn *txn = w->txn;
  w->txn = NULL; /* freed by LMDB whatever it returns */
  int rc = mdb_txn_commit(txn);
  return rc ? lmdb_fail(rc, verb, w->path) : OK;
}

/* Stores one value under the next key of `dbi`, starting a new transaction when this one has grown enough. */
static enum status put(struct dataset_writer *w, MDB_dbi dbi, const uint8_t *key, size_t key_size,
                       const void *value, size_t size) {
  enum status st = OK;
  size_t need = size + RECORD_OVERHEAD;
  if (w->broken) return fail(E_IO, "cannot go on writing %s after a failure", w->path);
  w->broken = true;
  if (w->pending && w->pending + need > BATCH_BYTES) {
    TRY(commit(w));
    TRY(begin(w, need));
  } else if (need > BATCH_BYTES) { /* alone larger than a batch */
    TRY(commit(w));
    TRY(begin(w, need));
  }
  MDB_val k = {key_size, (void *)(uintptr_t)key}, v = {size, (void *)(uintptr_t)value};
  TRY_LMDB(mdb_put(w->txn, dbi, &k, &v, MDB_APPEND), verb, w->path);
  w->pending += need;
  w->broken = false;
out:
  return st;
}

static enum status open_environment(struct dataset_writer *w) {
  enum status st = OK;
  TRY_LMDB(mdb_env_create(&w->env), verb, w->path);
  w->map = FIRST_MAP;
  TRY_LMDB(mdb_env_set_mapsize(w->env, w->map), verb, w->path);
  TRY_LMDB(mdb_env_set_maxdbs(w->env, MAX_DBS), verb, w->path);
  TRY_LMDB(mdb_env_open(w->env, w->temporary, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0666), verb, w->path);
  TRY(begin(w, 0));
  TRY_LMDB(mdb_dbi_open(w->txn, DB_SAMPLES, MDB_CREATE, &w->samples), verb, w->path);
out:
  return st;
}

/* --- The plan and the splits
 * ------------------------------------------------------------------------------------------ */

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
  strcpy(w->splits[w->n_splits++].name, name);
  return OK;
}

/* --- Opening, adding, committing
 * -------------------------------------------------------------------------------------- */

static enum status check_target(const char *path, bool replace) {
  struct stat info;
  if (lstat(path, &info) != 0)
    return OK; /* what is wrong, if anything, shows when the temporary file is created */
  if (!S_ISREG(info.st_mode))
    return fail(E_EXISTS, "%s exists and is not a dataset file; choose another --out", path);
  return replace ? OK : fail(E_EXISTS, "%s exists already; choose another --out or give --replace", path);
}

enum status dataset_writer_open(struct dataset_writer **out, const char *path,
                                const struct dataset_plan *plan, bool replace) {
  *out = NULL;
  enum status st;
  struct dataset_writer *w = calloc(1, sizeof *w);
  if (!w || !(w->hash = XXH3_createState())) {
    free(w);
    return fail(E_MEMORY, "out of memory while opening %s", path);
  }
  w->lock = -1;
  w->replace = replace;
  XXH3_128bits_reset(w->hash);
  if (snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path) {
    st = fail(E_ARG, "the path is too long: %.80s...", path);
    goto out;
  }
  TRY(check_target(path, replace));
  remove_leftovers(path);
  TRY(pack_plan(w, plan));
  TRY(create_temporary(w));
  TRY(open_environment(w));
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
  TRY(put(w, w->samples, key, sizeof key, w->scratch.data, w->scratch.size));
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
  TRY_LMDB(mdb_dbi_open(w->txn, name, MDB_CREATE, &dbi), verb, w->path);
  XXH3_128bits_update(w->hash, s->name, strlen(s->name) + 1);
  for (size_t first = 0; first < s->count; first += INDEX_CHUNK) {
    size_t n = s->count - first < INDEX_CHUNK ? s->count - first : INDEX_CHUNK;
    for (size_t i = 0; i < n; i++) layout_put_entry(&s->entries[first + i], chunk + i * INDEX_BYTES);
    layout_key(first / INDEX_CHUNK, key);
    TRY(put(w, dbi, key, sizeof key, chunk, n * INDEX_BYTES));
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
  TRY_LMDB(mdb_dbi_open(w->txn, DB_META, MDB_CREATE, &dbi), verb, w->path);
  TRY(put(w, dbi, (const uint8_t *)META_KEY, strlen(META_KEY), w->scratch.data, w->scratch.size));
out:
  return st;
}

/* Rename without replacing anything that appeared meanwhile, where the file system knows how to. */
static enum status publish(struct dataset_writer *w) {
  int rc = renameat2(AT_FDCWD, w->temporary, AT_FDCWD, w->path, w->replace ? 0 : RENAME_NOREPLACE);
  if (rc != 0 && errno == EINVAL && check_target(w->path, w->replace) == OK)
    rc = rename(w->temporary, w->path);
  if (rc == 0) return file_sync_parent(w->path);
  if (errno == EEXIST) return check_target(w->path, false);
  return fail(E_IO, "cannot rename %s to %s: %s%s", w->temporary, w->path, strerror(errno),
              file_advice(errno));
}

enum status dataset_writer_commit(struct dataset_writer **writer, const double mean[3], const double std[3]) {
  struct dataset_writer *w = *writer;
  enum status st = OK;
  for (int c = 0; c < 3; c++)
    if (!isfinite(mean[c]) || !isfinite(std[c])) {
      st = fail(E_ARG, "the channel mean or standard deviation is not finite");
      goto out;
    }
  if (w->broken) {
    st = fail(E_IO, "cannot go on writing %s after a failure", w->path);
    goto out;
  }
  for (size_t i = 0; i < w->n_splits; i++) TRY(write_index(w, &w->splits[i]));
  TRY(write_meta(w, mean, std));
  TRY(commit(w));
  TRY_LMDB(mdb_env_sync(w->env, 1), verb, w->path);
  mdb_env_close(w->env);
  w->env = NULL;
  TRY(publish(w));
  w->temporary[0] = '\0';
out:
  dataset_writer_abort(writer);
  return st;
}

void dataset_writer_abort(struct dataset_writer **writer) {
  struct dataset_writer *w = *writer;
  *writer = NULL;
  if (!w) return;
  if (w->txn) mdb_txn_abort(w->txn);
  if (w->env) mdb_env_close(w->env);
  if (w->lock >= 0 && w->temporary[0]) unlink(w->temporary);
  if (w->lock >= 0) close(w->lock);
  for (size_t i = 0; i < w->n_splits; i++) free(w->splits[i].entries);
  msgpack_sbuffer_destroy(&w->plan);
  msgpack_sbuffer_destroy(&w->scratch);
  XXH3_freeState(w->hash);
  free(w);
}
