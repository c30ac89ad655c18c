/* The description of a feature store: what its sealed msgpack map says (docs/formats.md). Used by features.c
 * alone. */
#ifndef STORE_FEATURES_META_H
#define STORE_FEATURES_META_H

#include <msgpack.h>

#include "store/features.h"
#include "store/layout.h"
#include "store/unpack.h"

enum { FEATURES_MAX_DIM = 1 << 20 };

struct features_meta {
  struct slice key; /* borrowed */
  int64_t dim;
  struct feature_split {
    char name[MAX_SPLIT_NAME + 1];
    int64_t count;
  } splits[MAX_SPLITS];
  size_t n_splits;
};

/* Appends the stored form. */
void features_meta_pack(const struct features_meta *meta, msgpack_sbuffer *out);

/* Errors: E_VERSION, E_FORMAT (damaged). `meta` borrows from `bytes`. */
enum status features_meta_parse(struct features_meta *meta, const uint8_t *bytes, size_t size);

/* NULL: no such split. */
const struct feature_split *features_meta_split(const struct features_meta *meta, const char *name);

#endif
