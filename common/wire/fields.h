/* Flat msgpack maps described by tables: the one place where bytes from a peer become values.
 *
 * A frame is a msgpack map whose keys are strings and whose values are unsigned integers, strings, or arrays
 * of one of the two: exactly what JSON can hold, so that schemas/messages describes it. A table says which
 * keys a kind of map has, their types and limits; every key of the kind is required, no other is accepted,
 * and a key has one meaning and one limit wherever it occurs. Nothing is
 * allocated before every count has been checked against the bytes that are left (store/unpack.h). Pure
 * functions; thread-safe. */
#ifndef WIRE_FIELDS_H
#define WIRE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "store/unpack.h"

enum { FRAME_MAX = 65536, FRAME_KEYS = 32 };

/* Part of a frame: borrowed, not zero-terminated, valid UTF-8 without control characters. */
struct text {
  const char *at;
  uint32_t size;
};

struct texts {
  const struct text *at;
  uint32_t count;
};

struct numbers {
  const uint64_t *at;
  uint32_t count;
};

/* For printf("%.*s"). */
#define TEXT_ARG(t) (int)(t).size, (t).at

struct text text_of(const char *string); /* NULL: empty */
bool text_is(struct text text, const char *string);
bool text_equal(struct text a, struct text b);

/* Copies to out[size] with a zero at the end, cut if it is longer. */
void text_copy(struct text text, char *out, size_t size);

enum field_type { FIELD_UINT, FIELD_TEXT, FIELD_UINTS, FIELD_TEXTS };

struct field {
  const char *key; /* NULL ends a table */
  enum field_type type;
  uint32_t kinds;     /* bit set of the kinds of map that have it */
  size_t offset;      /* of a uint64_t, struct text, struct numbers or struct texts */
  uint64_t max;       /* of each integer; bytes of each string */
  uint32_t max_count; /* of array elements */
};

struct entry {
  struct slice key;
  struct unpack value; /* from where the value begins */
};

/* A frame taken apart, keys not yet judged; borrows the frame. */
struct map {
  struct entry entries[FRAME_KEYS];
  size_t n, elements; /* elements: of all arrays together */
};

/* Errors: E_FORMAT. */
enum status map_open(struct map *map, const void *frame, size_t size);

/* The values every map starts with: `version` of key "v" and, where
 * kind is given, the string of key "kind". */
enum status map_head(const struct map *map, uint64_t *version, struct text *kind);

/* Fills `out` by the fields of `table` whose kinds meet `kind`. Strings point into the frame; arrays into
 * *storage, which the caller frees. `has_kind`: the key "kind" belongs there. Errors: E_FORMAT (names the
 * key), E_MEMORY. */
enum status map_read(const struct map *map, const struct field *table, uint32_t kind, bool has_kind,
                     void *out, void **storage);

/* Writes the map for `in`: "v", "kind" unless NULL, then the table's fields in the table's order, so that
 * equal values give equal bytes. *bytes is malloc'ed. Errors: E_ARG (over a limit: names
 * the key), E_MEMORY. */
enum status fields_pack(const struct field *table, uint32_t kind, uint64_t version, const char *kind_name,
                        const void *in, uint8_t **bytes, size_t *size);

#endif
