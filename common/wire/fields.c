#include "wire/fields.h"

#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>
#include <stdlib.h>
#include <string.h>

struct text text_of(const char *string) {
  return (struct text){string ? string : "", string ? (uint32_t)strlen(string) : 0};
}

bool text_is(struct text text, const char *string) { return text_equal(text, text_of(string)); }

bool text_equal(struct text a, struct text b) { return a.size == b.size && memcmp(a.at, b.at, a.size) == 0; }

void text_copy(struct text text, char *out, size_t size) {
  size_t n = text.size < size ? text.size : size - 1;
  memcpy(out, text.at, n);
  out[n] = '\0';
}

/* --- Structure ---------------------------------------------------------------------------------------- */

enum status map_open(struct map *map, const void *frame, size_t size) {
  map->n = map->elements = 0;
  if (size > FRAME_MAX)
    return fail(E_FORMAT, "a frame of %zu bytes where at most %d are allowed", size, FRAME_MAX);
  if (!frame) return fail(E_FORMAT, "an empty frame");
  struct unpack u = {frame, (const uint8_t *)frame + size};
  size_t pairs = 0;
  if (!unpack_map(&u, &pairs) || pairs > FRAME_KEYS) return fail(E_FORMAT, "not a small msgpack map");
  for (; map->n < pairs; map->n++) {
    struct entry *e = &map->entries[map->n];
    size_t items = 0;
    if (!unpack_str(&u, &e->key)) return fail(E_FORMAT, "a map with a key that is not a string");
    e->value = u;
    struct unpack array = u;
    if (unpack_array(&array, &items)) map->elements += items;
    if (!unpack_skip(&u)) return fail(E_FORMAT, "a map that is cut off or nested too deep");
  }
  return u.at == u.end ? OK : fail(E_FORMAT, "bytes after the end of a map");
}

/* --- Values --------------------------------------------------------------------------------------------- */

/* Well-formed UTF-8 without C0 control characters: it may end up in a log line. */
static bool clean(const char *at, size_t size) {
  const uint8_t *p = (const uint8_t *)at, *end = p + size;
  while (p < end) {
    uint32_t c = *p++;
    if (c < 0x80) {
      if (c < 0x20 || c == 0x7f) return false;
      continue;
    }
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || end - p < more) return false;
    c &= 0x3fU >> more;
    for (int i = 0; i < more; i++, p++) {
      if ((*p & 0xc0) != 0x80) return false;
      c = c << 6 | (*p & 0x3f);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
  }
  return true;
}

static bool read_text(struct unpack *u, uint64_t max, struct text *out) {
  struct slice s;
  if (!unpack_str(u, &s) || s.size > max || !clean((const char *)s.bytes, s.size)) return false;
  *out = (struct text){(const char *)s.bytes, (uint32_t)s.size};
  return true;
}

static bool read_uint(struct unpack *u, uint64_t max, uint64_t *out) {
  return unpack_uint64(u, out) && *out <= max;
}

/* `storage` moves on past what an array takes. */
static bool read_array(struct unpack *u, const struct field *f, char *out, struct text **storage) {
  size_t n = 0;
  if (!unpack_array(u, &n) || n > f->max_count) return false;
  struct text *texts = *storage;
  uint64_t *numbers = (uint64_t *)(void *)*storage;
  *storage += n;
  for (size_t i = 0; i < n; i++)
    if (f->type == FIELD_TEXTS ? !read_text(u, f->max, &texts[i]) : !read_uint(u, f->max, &numbers[i]))
      return false;
  if (f->type == FIELD_TEXTS)
    *(struct texts *)(void *)out = (struct texts){texts, (uint32_t)n};
  else
    *(struct numbers *)(void *)out = (struct numbers){numbers, (uint32_t)n};
  return true;
}

static bool read_field(struct unpack u, const struct field *f, void *state, struct text **storage) {
  char *out = (char *)state + f->offset;
  switch (f->type) {
  case FIELD_UINT: return read_uint(&u, f->max, (uint64_t *)(void *)out);
  case FIELD_TEXT: return read_text(&u, f->max, (struct text *)(void *)out);
  case FIELD_UINTS:
  case FIELD_TEXTS: return read_array(&u, f, out, storage);
  }
  return false;
}

static const struct entry *find(const struct map *map, const char *key) {
  for (size_t i = 0; i < map->n; i++)
    if (slice_is(map->entries[i].key, key)) return &map->entries[i];
  return NULL;
}

enum status map_head(const struct map *map, uint64_t *version, struct text *kind) {
  const struct entry *v = find(map, "v"), *k = kind ? find(map, "kind") : NULL;
  struct unpack u = v ? v->value : (struct unpack){0};
  if (!v || !read_uint(&u, UINT32_MAX, version)) return fail(E_FORMAT, "a map without a version 'v'");
  u = k ? k->value : (struct unpack){0};
  if (kind && (!k || !read_text(&u, 32, kind))) return fail(E_FORMAT, "a map without a 'kind'");
  return OK;
}

static enum status read_fields(const struct map *map, const struct field *table, uint32_t kind,
                               size_t expected, void *out, struct text *storage) {
  for (const struct field *f = table; f->key; f++) {
    if (!(f->kinds & kind)) continue;
    expected++;
    const struct entry *e = find(map, f->key);
    if (!e) return fail(E_FORMAT, "'%s' is missing", f->key);
    if (!read_field(e->value, f, out, &storage))
      return fail(E_FORMAT, "'%s' is of another type or over its limit", f->key);
  }
  /* Every expected key is there, so any other size means an unknown or a repeated key. */
  return map->n == expected ? OK : fail(E_FORMAT, "unknown or repeated keys");
}

enum status map_read(const struct map *map, const struct field *table, uint32_t kind, bool has_kind,
                     void *out, void **storage) {
  *storage = malloc((map->elements + 1) * sizeof(struct text));
  if (!*storage) return fail(E_MEMORY, "out of memory while reading a message");
  enum status st = read_fields(map, table, kind, has_kind ? 2 : 1, out, *storage);
  if (st == OK) return OK;
  free(*storage);
  *storage = NULL;
  return st;
}

/* --- Writing -------------------------------------------------------------------------------------------- */

static int pack_text(msgpack_packer *p, struct text t) {
  return msgpack_pack_str(p, t.size) || msgpack_pack_str_body(p, t.at ? t.at : "", t.size);
}

/* 0: packed; 1: over a limit; -1: out of memory. */
static int pack_field(msgpack_packer *p, const struct field *f, const char *in) {
  const struct text *t = (const struct text *)(const void *)in;
  const struct texts *ts = (const struct texts *)(const void *)in;
  const struct numbers *ns = (const struct numbers *)(const void *)in;
  const uint64_t *u = (const uint64_t *)(const void *)in;
  switch (f->type) {
  case FIELD_UINT: return *u > f->max ? 1 : -!!msgpack_pack_uint64(p, *u);
  case FIELD_TEXT: return t->size > f->max || !clean(t->at ? t->at : "", t->size) ? 1 : -!!pack_text(p, *t);
  case FIELD_UINTS:
    if (ns->count > f->max_count) return 1;
    if (msgpack_pack_array(p, ns->count)) return -1;
    for (uint32_t i = 0; i < ns->count; i++) {
      if (ns->at[i] > f->max) return 1;
      if (msgpack_pack_uint64(p, ns->at[i])) return -1;
    }
    return 0;
  case FIELD_TEXTS:
    if (ts->count > f->max_count) return 1;
    if (msgpack_pack_array(p, ts->count)) return -1;
    for (uint32_t i = 0; i < ts->count; i++) {
      if (ts->at[i].size > f->max || !clean(ts->at[i].at, ts->at[i].size)) return 1;
      if (pack_text(p, ts->at[i])) return -1;
    }
    return 0;
  }
  return 1;
}

enum status fields_pack(const struct field *table, uint32_t kind, uint64_t version, const char *kind_name,
                        const void *in, uint8_t **bytes, size_t *size) {
  *bytes = NULL;
  msgpack_sbuffer buffer;
  msgpack_sbuffer_init(&buffer);
  msgpack_packer p;
  msgpack_packer_init(&p, &buffer, msgpack_sbuffer_write);
  uint32_t n = kind_name ? 2 : 1;
  for (const struct field *f = table; f->key; f++) n += (f->kinds & kind) != 0;
  int bad = -!!(msgpack_pack_map(&p, n) || pack_text(&p, text_of("v")) || msgpack_pack_uint64(&p, version));
  if (!bad && kind_name) bad = -!!(pack_text(&p, text_of("kind")) || pack_text(&p, text_of(kind_name)));
  const struct field *f = table;
  for (; !bad && f->key; f += !bad) {
    if (!(f->kinds & kind)) continue;
    bad = -!!pack_text(&p, text_of(f->key));
    if (!bad) bad = pack_field(&p, f, (const char *)in + f->offset);
  }
  enum status st = bad < 0 ? fail(E_MEMORY, "out of memory while writing a message")
                   : bad   ? fail(E_ARG, "'%s' is too large for a message", f->key)
                           : OK;
  if (st == OK && buffer.size > FRAME_MAX)
    st = fail(E_ARG, "a message of %zu bytes where at most %d are allowed", buffer.size, FRAME_MAX);
  *size = buffer.size;
  if (st == OK)
    *bytes = (uint8_t *)msgpack_sbuffer_release(&buffer);
  else
    msgpack_sbuffer_destroy(&buffer);
  return st;
}
