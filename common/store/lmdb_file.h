/* An LMDB file that is written once and never changes after: datasets and features are made of it.
 *
 * The writer works under PATH.tmp-PID-K, locked for as long as it lives, and renames. The lock tells the
 * leftover of a dead writer, which the next one removes, from the file of a live one. Not MDB_WRITEMAP: a
 * full disk must be an error code, not SIGBUS. No LMDB lock files: nobody sees the file before it is final,
 * and nothing changes after. One thread each. */
#ifndef STORE_LMDB_FILE_H
#define STORE_LMDB_FILE_H

#include <limits.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* For messages. */
struct lmdb_kind {
  const char *noun;   /* "dataset" */
  const char *origin; /* "tandem-ingest makes one" */
  const char *remedy; /* "ingest the images again" */
};

struct lmdb_reader {
  MDB_env *env;
  MDB_txn *txn; /* one read transaction for as long as it is open */
};

/* Maps a published file. Checks what LMDB trusts blindly: the header and the length. Errors: E_NOT_FOUND,
 * E_IO, E_FORMAT (something else, truncated), E_VERSION (another LMDB). `out` is closed then. */
enum status lmdb_reader_open(struct lmdb_reader *out, const char *path, const struct lmdb_kind *kind,
                             unsigned max_dbs);

/* What stands under `key` in database "meta": the description, whose key tells the kinds apart. E_FORMAT: a file of
 * another kind, or damaged. Borrowed until close. */
enum status lmdb_reader_meta(const struct lmdb_reader *reader, const char *path, const struct lmdb_kind *kind,
                             const char *key, MDB_val *out);
void lmdb_reader_close(struct lmdb_reader *reader); /* accepts a zeroed or closed one */

struct lmdb_writer {
  MDB_env *env;
  MDB_txn *txn;
  char path[PATH_MAX], temporary[PATH_MAX];
  const struct lmdb_kind *kind; /* borrowed */
  bool replace, broken;         /* broken: a write failed, so that what follows would not be the whole */
  int lock;                     /* holds the flock on the temporary file; -1 before */
  size_t map, pending;          /* bytes of address space; bytes at most that the open transaction may add */
};

/* Errors: E_ARG, E_EXISTS (unless `replace`), E_IO, E_MEMORY; the writer is closed then. */
enum status lmdb_writer_open(struct lmdb_writer *out, const char *path, const struct lmdb_kind *kind,
                             bool replace, unsigned max_dbs);

/* Makes the database called `name`. */
enum status lmdb_writer_database(struct lmdb_writer *writer, const char *name, MDB_dbi *out);

/* Stores one value; keys of a database come in ascending order. Grows the map, commits now and then. */
enum status lmdb_writer_put(struct lmdb_writer *writer, MDB_dbi dbi, const void *key, size_t key_size,
                            const void *value, size_t size);

/* A write that failed makes all that follow fail (E_IO), so that half a file cannot be published. */

/* Commits, syncs and renames; closes, also on failure, when nothing is left. Errors: E_IO, E_EXISTS. */
enum status lmdb_writer_publish(struct lmdb_writer *writer);

/* Gives up unless published: removes the temporary file. Accepts a zeroed or closed writer. */
void lmdb_writer_close(struct lmdb_writer *writer);

#endif
