#include "store/unpack.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 16 };

static size_t left(const struct unpack *u) { return (size_t)(u->end - u->at); }

/* A big-endian number of `size` bytes. */
static bool number(struct unpack *u, size_t size, uint64_t *value) {
  if (left(u) < size) return false;
  *value = 0;
  for (size_t i = 0; i < size; i++) *value = *value << 8 | *u->at++;
  return true;
}

static bool tag(struct unpack *u, uint8_t *t) {
  if (u->at == u->end) return false;
  *t = *u->at++;
  return true;
}

/* A count after its tag: the small form, or 1, 2 or 4 bytes after tags first, first + 1, ... of widths from
 * `width`. */
static bool count(struct unpack *u, uint8_t t, uint8_t small, uint8_t mask, uint8_t first, size_t width,
                  size_t *n) {
  uint64_t value;
  if (mask && (t & (uint8_t)~mask) == small)
    value = t & mask;
  else {
    for (; width <= 4 && t != first; width *= 2) first++;
    if (width > 4 || !number(u, width, &value)) return false;
  }
  *n = (size_t)value;
  return *n <= left(u); /* each item takes a byte at least */
}

bool unpack_map(struct unpack *u, size_t *pairs) {
  uint8_t t;
  return tag(u, &t) && count(u, t, 0x80, 0x0f, 0xde, 2, pairs) && *pairs <= left(u) / 2;
}

bool unpack_array(struct unpack *u, size_t *items) {
  uint8_t t;
  return tag(u, &t) && count(u, t, 0x90, 0x0f, 0xdc, 2, items);
}

static bool take(struct unpack *u, size_t n, struct slice *s) {
  *s = (struct slice){u->at, n};
  u->at += n;
  return true;
}

bool unpack_str(struct unpack *u, struct slice *text) {
  uint8_t t;
  size_t n;
  return tag(u, &t) && count(u, t, 0xa0, 0x1f, 0xd9, 1, &n) && take(u, n, text);
}

bool unpack_bin(struct unpack *u, struct slice *data) {
  uint8_t t;
  size_t n;
  return tag(u, &t) && count(u, t, 0, 0, 0xc4, 1, &n) && take(u, n, data);
}

bool unpack_uint64(struct unpack *u, uint64_t *value) {
  uint8_t t;
  if (!tag(u, &t)) return false;
  if (t < 0x80) return *value = t, true;
  return t >= 0xcc && t <= 0xcf && number(u, (size_t)1 << (t - 0xcc), value);
}

bool unpack_int(struct unpack *u, int64_t low, int64_t high, int64_t *value) {
  uint64_t raw;
  if (u->at == u->end) return false;
  uint8_t t = *u->at;
  if (t >= 0xe0) {
    *value = (int64_t)t - 256;
    u->at++;
  } else if (t >= 0xd0 && t <= 0xd3) {
    size_t size = (size_t)1 << (t - 0xd0);
    u->at++;
    if (!number(u, size, &raw)) return false;
    *value = (int64_t)(raw << (64 - 8 * size)) >> (64 - 8 * size); /* sign extension */
  } else {
    if (!unpack_uint64(u, &raw) || raw > INT64_MAX) return false;
    *value = (int64_t)raw;
  }
  return *value >= low && *value <= high;
}

bool unpack_float(struct unpack *u, double *value) {
  uint8_t t;
  uint64_t raw;
  if (!tag(u, &t) || (t != 0xca && t != 0xcb) || !number(u, t == 0xca ? 4 : 8, &raw)) return false;
  if (t == 0xcb) {
    memcpy(value, &raw, 8);
  } else {
    uint32_t bits = (uint32_t)raw;
    float single;
    memcpy(&single, &bits, 4);
    *value = (double)single;
  }
  return isfinite(*value);
}

static bool skip(struct unpack *u, int depth);

static bool skip_items(struct unpack *u, size_t n, int depth) {
  if (depth >= MAX_DEPTH) return false;
  while (n-- > 0)
    if (!skip(u, depth + 1)) return false;
  return true;
}

static bool skip_bytes(struct unpack *u, size_t n) {
  if (left(u) < n) return false;
  u->at += n;
  return true;
}

static bool skip(struct unpack *u, int depth) {
  if (u->at == u->end) return false;
  uint8_t t = *u->at;
  size_t n;
  struct slice s;
  if ((t & 0xf0) == 0x80 || t == 0xde || t == 0xdf) return unpack_map(u, &n) && skip_items(u, 2 * n, depth);
  if ((t & 0xf0) == 0x90 || t == 0xdc || t == 0xdd) return unpack_array(u, &n) && skip_items(u, n, depth);
  if ((t & 0xe0) == 0xa0 || (t >= 0xd9 && t <= 0xdb)) return unpack_str(u, &s);
  if (t >= 0xc4 && t <= 0xc6) return unpack_bin(u, &s);
  if (t >= 0xcc && t <= 0xd3) return skip_bytes(u, 1 + ((size_t)1 << (t & 3)));
  if (t == 0xca || t == 0xcb) return skip_bytes(u, t == 0xca ? 5 : 9);
  if (t < 0x80 || t >= 0xe0 || t == 0xc0 || t == 0xc2 || t == 0xc3) return skip_bytes(u, 1);
  return false; /* extensions: nothing here writes them */
}

bool unpack_skip(struct unpack *u) { return skip(u, 0); }

bool slice_is(struct slice s, const char *text) {
  return s.size == strlen(text) && memcmp(s.bytes, text, s.size) == 0;
}
