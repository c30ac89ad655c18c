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

/* --- Structure before unpacking
 * ---------------------------------------------------------------------------------- */

struct cursor {
  const uint8_t *at, *end;
};

static size_t left(const struct cursor *c) { return (size_t)(c->end - c->at); }

/* A big-endian count of `bytes` bytes, or one that no frame can hold. */
static uint32_t read_count(struct cursor *c, size_t bytes) {
  if (left(c) < bytes) return UINT32_MAX;
  uint32_t n = 0;
  for (size_t i = 0; i < bytes; i++) n = n << 8 | *c->at++;
  return n;
}

static bool skip(struct cursor *c, uint32_t n) {
  if (n > left(c)) return false;
  c->at += n;
  return true;
}

/* A string or an unsigned integer. */
static bool scan_scalar(struct cursor *c, bool string_only) {
  if (left(c) < 1) return false;
  uint8_t tag = *c->at++;
  if ((tag & 0xe0) == 0xa0) return skip(c, tag & 0x1f);
  if (tag >= 0xd9 && tag <= 0xdb) return skip(c, read_count(c, (size_t)1 << (tag - 0xd9)));
  if (string_only) return false;
  if (tag <= 0x7f) return true;
  return tag >= 0xcc && tag <= 0xcf && skip(c, 1U << (tag - 0xcc));
}

/* Whether the value is an array; if so its count is in *n and the cursor stands before its first element. */
static bool scan_array(struct cursor *c, uint32_t *n) {
  if (left(c) < 1) return false;
  uint8_t tag = *c->at;
  if ((tag & 0xf0) != 0x90 && tag != 0xdc && tag != 0xdd) return false;
  c->at++;
  *n = (tag & 0xf0) == 0x90 ? tag & 0x0fU : read_count(c, tag == 0xdc ? 2 : 4);
  return true;
}

static bool scan_value(struct cursor *c, uint32_t *elements) {
  uint32_t n = 0;
  if (!scan_array(c, &n)) return scan_scalar(c, false);
  if (n > left(c)) return false;
  *elements += n;
  for (; n; n--)
    if (!scan_scalar(c, false)) return false;
  return true;
}

static bool scan_map(struct cursor *c, uint32_t *elements) {
  if (left(c) < 1) return false;
  uint8_t tag = *c->at++;
  uint32_t n = (tag & 0xf0) == 0x80 ? tag & 0x0fU : tag == 0xde ? read_count(c, 2) : UINT32_MAX;
  if (n > FRAME_KEYS) return false;
  for (; n; n--)
    if (!scan_scalar(c, true) || !scan_value(c, elements)) return false;
  return left(c) == 0;
}

enum status map_open(struct map *map, const void *frame, size_t size) {
  *map = (struct map){0};
  if (size > FRAME_MAX)
    return fail(E_FORMAT, "a frame of %zu bytes where at most %d are allowed", size, FRAME_MAX);
  if (!frame) return fail(E_FORMAT, "an empty frame");
  struct cursor c = {frame, (const uint8_t *)frame + size};
  if (!scan_map(&c, &map->elements)) return fail(E_FORMAT, "not a flat msgpack map");
  msgpack_unpacked_init(&map->unpacked);
  size_t offset = 0;
  msgpack_unpack_return r = msgpack_unpack_next(&map->unpacked, frame, size, &offset);
  map->open = true;
  if (r == MSGPACK_UNPACK_SUCCESS && map->unpacked.data.type == MSGPACK_OBJECT_MAP) return OK;
  map_close(map);
  return r == MSGPACK_UNPACK_NOMEM_ERROR ? fail(E_MEMORY, "out of memory while reading a message")
                                         : fail(E_FORMAT, "not a flat msgpack map");
}

void map_close(struct map *map) {
  if (map->open) msgpack_unpacked_destroy(&map->unpacked);
  map->open = false;
}

/* --- Values
 * ---------------------------------------------------------------------------------------------------------
 */

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

static bool read_text(const msgpack_object *o, uint64_t max, struct text *out) {
  if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > max || !clean(o->via.str.ptr, o->via.str.size))
    return false;
  *out = (struct text){o->via.str.ptr, o->via.str.size};
  return true;
}

static bool read_uint(const msgpack_object *o, uint64_t max, uint64_t *out) {
  if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > max) return false;
  *out = o->via.u64;
  return true;
}

/* `storage` moves on past what an array takes. */
static bool read_array(const msgpack_object *o, const struct field *f, char *out, struct text **storage) {
  if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > f->max_count) return false;
  uint32_t n = o->via.array.size;
  struct text *texts = *storage;
  uint64_t *numbers = (uint64_t *)(void *)*storage;
  *storage += n;
  for (uint32_t i = 0; i < n; i++) {
    const msgpack_object *e = &o->via.array.ptr[i];
    if (f->type == FIELD_TEXTS ? !read_text(e, f->max, &texts[i]) : !read_uint(e, f->max, &numbers[i]))
      return false;
  }
  if (f->type == FIELD_TEXTS)
    *(struct texts *)(void *)out = (struct texts){texts, n};
  else
    *(struct numbers *)(void *)out = (struct numbers){numbers, n};
  return true;
}

static bool read_field(const msgpack_object *o, const struct field *f, void *state, struct text **storage) {
  char *out = (char *)state + f->offset;
  switch (f->type) {
  case FIELD_UINT: return read_uint(o, f->max, (uint64_t *)(void *)out);
  case FIELD_TEXT: return read_text(o, f->max, (struct text *)(void *)out);
  case FIELD_UINTS:
  case FIELD_TEXTS: return read_array(o, f, out, storage);
  }
  return false;
}

static const msgpack_object *value_of(const struct map *map, const char *key) {
  const msgpack_object_map *m = &map->unpacked.data.via.map;
  for (uint32_t i = 0; i < m->size; i++) {
    const msgpack_object_str *k = &m->ptr[i].key.via.str;
    if (k->size == strlen(key) && memcmp(k->ptr, key, k->size) == 0) return &m->ptr[i].val;
  }
  return NULL;
}

enum status map_head(const struct map *map, uint64_t *version, struct text *kind) {
  const msgpack_object *v = value_of(map, "v"), *k = kind ? value_of(map, "kind") : NULL;
  if (!v || !read_uint(v, UINT32_MAX, version)) return fail(E_FORMAT, "a map without a version 'v'");
  if (kind && (!k || !read_text(k, 32, kind))) return fail(E_FORMAT, "a map without a 'kind'");
  return OK;
}

enum status map_read(const struct map *map, const struct field *table, uint32_t kind, bool has_kind,
                     void *out, void **storage) {
  *storage = malloc(((size_t)map->elements + 1) * sizeof(struct text));
  if (!*storage) return fail(E_MEMORY, "out of memory while reading a message");
  struct text *free_space = *storage;
  uint32_t expected = has_kind ? 2 : 1;
  for (const struct field *f = table; f->key; f++) {
    if (!(f->kinds & kind)) continue;
    expected++;
    const msgpack_object *o = value_of(map, f->key);
    if (o && read_field(o, f, out, &free_space)) continue;
    free(*storage);
    *storage = NULL;
    return fail(E_FORMAT, "'%s' is %s", f->key, o ? "of another type or over its limit" : "missing");
  }
  /* Every expected key is there, so any other size means an unknown or a repeated key. */
  if (map->unpacked.data.via.map.size == expected) return OK;
  free(*storage);
  *storage = NULL;
  return fail(E_FORMAT, "unknown or repeated keys");
}

/* --- Writing
 * ----------------------------------------------------------------------------------------------------------
 */

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
