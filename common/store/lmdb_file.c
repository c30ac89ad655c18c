#include "store/lmdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/layout.h"
#include "store/lmdb_status.h"

enum {
  BATCH_BYTES = 16 << 20, /* per transaction: bounds the dirty pages in memory */
  VALUE_OVERHEAD = 8192,  /* more than LMDB can need around one value */
  FIRST_MAP = 1 << 20
};

/* --- Reading --- */

/* LMDB trusts the page size in its first page; look before it does. Offsets: docs/formats.md. */
static enum status check_header(const uint8_t *page, size_t n, const char *path,
                                const struct lmdb_kind *kind) {
  uint64_t page_size = n >= 44 ? layout_get(4, page + 40) : 0;
  if (n < 44 || layout_get(4, page + 16) != 0xBEEFC0DE)
    return fail(E_FORMAT, "%s is not a %s (%s)", path, kind->noun, kind->origin);
  if (layout_get(4, page + 20) != 1)
    return fail(E_VERSION, "%s was written by another version of LMDB; %s", path, kind->remedy);
  if (page_size < 512 || page_size > 65536 || (page_size & (page_size - 1)))
    return fail(E_FORMAT, "%s is damaged (pages of %llu bytes); %s", path, (unsigned long long)page_size,
                kind->remedy);
  return OK;
}

static enum status check_file(const char *path, const struct lmdb_kind *kind, off_t *size) {
  enum status st = OK;
  uint8_t page[64];
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT)
    return fail(E_NOT_FOUND, "there is no %s at %s (%s)", kind->noun, path, kind->origin);
  if (fd < 0)
    return fail(E_IO, "cannot read the %s %s: %s%s", kind->noun, path, strerror(errno), file_advice(errno));
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    st = fail(E_FORMAT, "%s is not a %s but a %s (%s)", path, kind->noun,
              S_ISDIR(info.st_mode) ? "folder" : "special file", kind->origin);
    goto out;
  }
  *size = info.st_size;
  ssize_t n = pread(fd, page, sizeof page, 0);
  TRY(check_header(page, n > 0 ? (size_t)n : 0, path, kind));
out:
  close(fd);
  return st;
}

/* Reading ahead helps unless what it reads is thrown out again before it is used. */
static bool larger_than_memory(off_t size) {
  return (double)size > 0.5 * (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

enum status lmdb_reader_open(struct lmdb_reader *out, const char *path, const struct lmdb_kind *kind,
                             unsigned max_dbs) {
  enum status st;
  char verb[64];
  off_t size = 0;
  MDB_envinfo info;
  MDB_stat stat;
  *out = (struct lmdb_reader){0};
  snprintf(verb, sizeof verb, "read the %s", kind->noun);
  TRY(check_file(path, kind, &size));
  unsigned flags =
      MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS | (larger_than_memory(size) ? MDB_NORDAHEAD : 0U);
  TRY_LMDB(mdb_env_create(&out->env), verb, path);
  TRY_LMDB(mdb_env_set_mapsize(out->env, (size_t)size), verb,
           path); /* no more address space than there is file */
  TRY_LMDB(mdb_env_set_maxdbs(out->env, max_dbs), verb, path);
  TRY_LMDB(mdb_env_open(out->env, path, flags, 0), verb, path);
  TRY_LMDB(mdb_env_info(out->env, &info), verb, path);
  TRY_LMDB(mdb_env_stat(out->env, &stat), verb, path);
  if ((info.me_last_pgno + 1) * stat.ms_psize > (size_t)size) {
    st = fail(E_FORMAT, "%s is truncated: %lld bytes of %zu; %s", path, (long long)size,
              (info.me_last_pgno + 1) * stat.ms_psize, kind->remedy);
    goto out;
  }
  TRY_LMDB(mdb_txn_begin(out->env, NULL, MDB_RDONLY, &out->txn), verb, path);
out:
  if (st != OK) lmdb_reader_close(out);
  return st;
}

enum status lmdb_reader_meta(const struct lmdb_reader *reader, const char *path, const struct lmdb_kind *kind,
                             const char *key, MDB_val *out) {
  MDB_dbi dbi;
  MDB_val k = {strlen(key), (void *)(uintptr_t)key};
  int rc = mdb_dbi_open(reader->txn, DB_META, 0, &dbi);
  if (!rc) rc = mdb_get(reader->txn, dbi, &k, out);
  if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
    return fail(E_FORMAT, "not a %s but another LMDB file", kind->noun);
  return rc ? lmdb_fail(rc, "read", path) : OK;
}

void lmdb_reader_close(struct lmdb_reader *reader) {
  if (reader->txn) mdb_txn_abort(reader->txn);
  if (reader->env) mdb_env_close(reader->env);
  *reader = (struct lmdb_reader){0};
}

/* --- Writing: the temporary file --- */

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
  memcpy(pattern + n, ".tmp-*-*", sizeof ".tmp-*-*");
  glob_t found;
  if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0) return;
  for (size_t i = 0; i < found.gl_pathc; i++) remove_if_dead(found.gl_pathv[i]);
  globfree(&found);
}

/* Creates and locks the temporary file. A cleaner may catch it between the two steps; then another name is
 * tried. */
static enum status create_temporary(struct lmdb_writer *w) {
  for (int k = 0; k < 100; k++) {
    struct stat info;
    if (snprintf(w->temporary, sizeof w->temporary, "%s.tmp-%ld-%d", w->path, (long)getpid(), k) >=
        (int)sizeof w->temporary)
      break;
    int fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return fail(E_IO, "cannot write %s: %s%s", w->path, strerror(errno), file_advice(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &info) == 0 && info.st_nlink > 0) {
      w->lock = fd;
      return OK;
    }
    close(fd);
  }
  return fail(E_IO, "cannot make a temporary file beside %s: no free name", w->path);
}

/* --- Writing: transactions and the map --- */

/* Begins a transaction with address space for `bytes` more. */
static enum status begin(struct lmdb_writer *w, size_t bytes) {
  enum status st = OK;
  const char *verb = "write";
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

static enum status commit(struct lmdb_writer *w) {
  MDB_txn *txn = w->txn;
  w->txn = NULL; /* freed by LMDB whatever it returns */
  int rc = mdb_txn_commit(txn);
  if (rc == EIO) rc = file_write_error(w->lock); /* LMDB's word for any write cut short */
  return rc ? lmdb_fail(rc, "write", w->path) : OK;
}

static enum status check_whole(const struct lmdb_writer *w) {
  return w->broken ? fail(E_IO, "cannot go on writing %s after a failure", w->path) : OK;
}

enum status lmdb_writer_database(struct lmdb_writer *w, const char *name, MDB_dbi *out) {
  enum status st;
  TRY(check_whole(w));
  w->broken = true;
  TRY_LMDB(mdb_dbi_open(w->txn, name, MDB_CREATE, out), "write", w->path);
  w->broken = false;
out:
  return st;
}

enum status lmdb_writer_put(struct lmdb_writer *w, MDB_dbi dbi, const void *key, size_t key_size,
                            const void *value, size_t size) {
  enum status st;
  size_t need = size + VALUE_OVERHEAD;
  TRY(check_whole(w));
  w->broken = true;
  if (need > BATCH_BYTES || (w->pending && w->pending + need > BATCH_BYTES)) {
    TRY(commit(w));
    TRY(begin(w, need));
  }
  MDB_val k = {key_size, (void *)(uintptr_t)key}, v = {size, (void *)(uintptr_t)value};
  TRY_LMDB(mdb_put(w->txn, dbi, &k, &v, MDB_APPEND), "write", w->path);
  w->pending += need;
  w->broken = false;
out:
  return st;
}

/* --- Writing: from open to publish --- */

static enum status check_target(const char *path, const struct lmdb_kind *kind, bool replace) {
  struct stat info;
  if (lstat(path, &info) != 0)
    return OK; /* what is wrong, if anything, shows when the temporary file is created */
  if (!S_ISREG(info.st_mode))
    return fail(E_EXISTS, "%s exists and is not a %s file; choose another --out", path, kind->noun);
  return replace ? OK : fail(E_EXISTS, "%s exists already; choose another --out or give --replace", path);
}

static enum status open_environment(struct lmdb_writer *w, unsigned max_dbs) {
  enum status st = OK;
  const char *verb = "write";
  TRY_LMDB(mdb_env_create(&w->env), verb, w->path);
  w->map = FIRST_MAP;
  TRY_LMDB(mdb_env_set_mapsize(w->env, w->map), verb, w->path);
  TRY_LMDB(mdb_env_set_maxdbs(w->env, max_dbs), verb, w->path);
  TRY_LMDB(mdb_env_open(w->env, w->temporary, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0666), verb, w->path);
  TRY(begin(w, 0));
out:
  return st;
}

enum status lmdb_writer_open(struct lmdb_writer *w, const char *path, const struct lmdb_kind *kind,
                             bool replace, unsigned max_dbs) {
  enum status st;
  *w = (struct lmdb_writer){.kind = kind, .replace = replace, .lock = -1};
  if (snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path)
    return fail(E_ARG, "the path is too long: %.80s...", path);
  TRY(check_target(path, kind, replace));
  remove_leftovers(path);
  TRY(create_temporary(w));
  TRY(open_environment(w, max_dbs));
out:
  if (st != OK) lmdb_writer_close(w);
  return st;
}

/* Rename without replacing anything that appeared meanwhile, where the file system knows how to. */
static enum status move_into_place(struct lmdb_writer *w) {
  int rc = renameat2(AT_FDCWD, w->temporary, AT_FDCWD, w->path, w->replace ? 0 : RENAME_NOREPLACE);
  if (rc != 0 && errno == EINVAL && check_target(w->path, w->kind, w->replace) == OK)
    rc = rename(w->temporary, w->path);
  if (rc == 0) return file_sync_parent(w->path);
  if (errno == EEXIST) return check_target(w->path, w->kind, false);
  return fail(E_IO, "cannot rename %s to %s: %s%s", w->temporary, w->path, strerror(errno),
              file_advice(errno));
}

enum status lmdb_writer_publish(struct lmdb_writer *w) {
  enum status st;
  TRY(check_whole(w));
  TRY(commit(w));
  TRY_LMDB(mdb_env_sync(w->env, 1), "write", w->path);
  mdb_env_close(w->env);
  w->env = NULL;
  TRY(move_into_place(w));
  w->temporary[0] = '\0';
out:
  lmdb_writer_close(w);
  return st;
}

void lmdb_writer_close(struct lmdb_writer *w) {
  if (!w->kind) return;
  if (w->txn) mdb_txn_abort(w->txn);
  if (w->env) mdb_env_close(w->env);
  if (w->lock >= 0 && w->temporary[0]) unlink(w->temporary);
  if (w->lock >= 0) close(w->lock);
  *w = (struct lmdb_writer){.lock = -1};
}
