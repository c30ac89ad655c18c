#include "store/description.h"

#include <stdlib.h>
#include <string.h>

#include "store/record.h"
#include "store/unpack.h"

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

static bool read_text(struct unpack *u, struct description *d, const char **out) {
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
static bool read_names(struct unpack *u, struct description *d, const char ***names, size_t *n) {
  if (!unpack_array(u, n)) return false;
  for (size_t i = 0; i < *n; i++)
    if (!read_text(u, d, &(*names)[i])) return false;
  *names += *n;
  return true;
}

static bool read_splits(struct unpack *u, struct description *d) {
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

static enum status read_description(struct description *d, struct unpack *u) {
  const char **names = d->names, *format, *fingerprint;
  int64_t version;
  d->info.classes = names;
  if (!is_key(u, "format") || !read_text(u, d, &format) || strcmp(format, DATASET_FORMAT) != 0)
    return malformed("format");
  if (!is_key(u, "version") || !unpack_int(u, DATASET_VERSION, DATASET_VERSION, &version))
    return malformed("version");
  d->plan = u->at;
  if (!is_key(u, "classes") || !read_names(u, d, &names, &d->info.n_classes)) return malformed("classes");
  d->info.attributes = names;
  if (!is_key(u, "attributes") || !read_names(u, d, &names, &d->info.n_attributes))
    return malformed("attributes");
  d->plan_size = (size_t)(u->at - d->plan);
  if (!is_key(u, "name") || !read_text(u, d, &d->info.name)) return malformed("name");
  if (!is_key(u, "splits") || !read_splits(u, d)) return malformed("splits");
  if (!is_key(u, "mean") || !read_triple(u, d->info.mean)) return malformed("mean");
  if (!is_key(u, "std") || !read_triple(u, d->info.std)) return malformed("std");
  if (!is_key(u, "fingerprint") || !read_text(u, d, &fingerprint) || strlen(fingerprint) != FINGERPRINT_HEX)
    return malformed("fingerprint");
  d->info.fingerprint = fingerprint;
  return u->at == u->end ? OK : malformed("end");
}

enum status description_parse(struct description *d, const uint8_t *bytes, size_t size) {
  enum status st;
  TRY(check_version(bytes, size));
  TRY(seal_check(bytes, size, 0));
  d->text = d->text_at = malloc(2 * size); /* a string takes a byte for its tag at least, and a zero here */
  d->names = calloc(size, sizeof *d->names);
  if (!d->text || !d->names) return fail(E_MEMORY, "out of memory");
  d->text_end = d->text + 2 * size;
  struct unpack u = {bytes + SEAL_BYTES, bytes + size};
  TRY(read_description(d, &u));
out:
  return st;
}

void description_free(struct description *d) {
  free(d->names);
  free(d->text);
  *d = (struct description){0};
}
