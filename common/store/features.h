/* Features: what a frozen network makes of a dataset's images, kept in one LMDB file so that the same
 * evaluation, or another one of the same network, need not run the network again.
 *
 * The file carries a key, the text that names everything its numbers depend on (dataset fingerprint, hash of
 * the weights, policy, normalisation, ...; the caller's canonical form). Whoever reads gives the key
 * expected, and gets the features only if it is the same. Written whole or not at all; every chunk has a
 * checksum. Layout: docs/formats.md. */
#ifndef STORE_FEATURES_H
#define STORE_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { FEATURES_VERSION = 1 };

/* One split, in the order of its index. */
struct feature_table {
  int64_t n, dim;
  float *x;        /* [n, dim] */
  int32_t *labels; /* [n]; -1: unlabelled */
  uint64_t *ids;   /* [n] */
};

void feature_table_free(struct feature_table *table); /* accepts an empty one; leaves it empty */

/* Loads `n` splits into tables[n]. Errors, after which the tables are empty: E_NOT_FOUND (no file, another
 * key, no such split), E_VERSION, E_FORMAT (damaged, or something else): in these three cases the features
 * are to be computed anew, and the message says why; E_IO, E_MEMORY. */
enum status features_read(const char *path, const char *key, const char *const *splits, size_t n,
                          struct feature_table *tables);

struct features_writer;

/* Replaces what is at `path` when committed. `key` is copied. Errors: E_ARG, E_IO, E_MEMORY. */
enum status features_writer_open(struct features_writer **out, const char *path, const char *key,
                                 int64_t dim);

/* Begins the next split; rows added from here on belong to it. E_ARG. */
enum status features_writer_split(struct features_writer *writer, const char *name);

/* Appends n rows: ids [n], labels [n], x [n, dim]; copied. E_IO. */
enum status features_writer_add(struct features_writer *writer, int64_t n, const uint64_t *ids,
                                const int32_t *labels, const float *x);

/* Publishes and nulls; on failure nothing is left. E_IO. */
enum status features_writer_commit(struct features_writer **writer);
void features_writer_abort(struct features_writer **writer); /* accepts NULL; nulls */

#endif
