#include "store/features_meta.h"

#include <string.h>

#include "store/record.h"

#define FEATURES_FORMAT "tandem-features"

static void pack_text(msgpack_packer *p, const char *text) {
  msgpack_pack_str_with_body(p, text, strlen(text));
}

void features_meta_pack(const struct features_meta *meta, msgpack_sbuffer *out) {
  msgpack_packer p;
  size_t start = out->size;
  msgpack_packer_init(&p, out, msgpack_sbuffer_write);
  seal_begin(&p, 5);
  pack_text(&p, "format");
  pack_text(&p, FEATURES_FORMAT);
  pack_text(&p, "version");
  msgpack_pack_int(&p, FEATURES_VERSION);
  pack_text(&p, "key");
  msgpack_pack_str_with_body(&p, meta->key.bytes, meta->key.size);
  pack_text(&p, "dim");
  msgpack_pack_int64(&p, meta->dim);
  pack_text(&p, "splits");
  msgpack_pack_array(&p, meta->n_splits);
  for (size_t i = 0; i < meta->n_splits; i++) {
    msgpack_pack_array(&p, 2);
    pack_text(&p, meta->splits[i].name);
    msgpack_pack_int64(&p, meta->splits[i].count);
  }
  seal((uint8_t *)out->data + start, out->size - start, 0);
}

static bool next_key(struct unpack *u, const char *name) {
  struct slice key;
  return unpack_str(u, &key) && slice_is(key, name);
}

static bool read_splits(struct unpack *u, struct features_meta *m) {
  size_t two;
  struct slice name;
  if (!unpack_array(u, &m->n_splits) || m->n_splits > MAX_SPLITS) return false;
  for (size_t i = 0; i < m->n_splits; i++) {
    if (!unpack_array(u, &two) || two != 2 || !unpack_str(u, &name) || name.size > MAX_SPLIT_NAME ||
        memchr(name.bytes, 0, name.size))
      return false;
    memcpy(m->splits[i].name, name.bytes, name.size);
    m->splits[i].name[name.size] = '\0';
    if (!unpack_int(u, 0, INT32_MAX, &m->splits[i].count)) return false;
  }
  return true;
}

/* The format and version come first, so that another version is told apart from damage. */
enum status features_meta_parse(struct features_meta *m, const uint8_t *bytes, size_t size) {
  *m = (struct features_meta){0};
  struct unpack u = {bytes, bytes + size};
  size_t pairs;
  struct slice format;
  int64_t version;
  if (!unpack_map(&u, &pairs) || !next_key(&u, "xxh3") || !unpack_skip(&u) || !next_key(&u, "format") ||
      !unpack_str(&u, &format) || !slice_is(format, FEATURES_FORMAT) || !next_key(&u, "version") ||
      !unpack_int(&u, 0, INT64_MAX, &version))
    return fail(E_FORMAT, "damaged: its description is malformed");
  if (version != FEATURES_VERSION)
    return fail(E_VERSION, "a feature store of version %lld, but this build reads version %d",
                (long long)version, FEATURES_VERSION);
  enum status st = seal_check(bytes, size, 0);
  if (st != OK) return st;
  bool good = next_key(&u, "key") && unpack_str(&u, &m->key) && next_key(&u, "dim") &&
              unpack_int(&u, 1, FEATURES_MAX_DIM, &m->dim) && next_key(&u, "splits") && read_splits(&u, m) &&
              u.at == u.end;
  return good ? OK : fail(E_FORMAT, "damaged: its description is malformed");
}

const struct feature_split *features_meta_split(const struct features_meta *meta, const char *name) {
  for (size_t i = 0; i < meta->n_splits; i++)
    if (strcmp(meta->splits[i].name, name) == 0) return &meta->splits[i];
  return NULL;
}
