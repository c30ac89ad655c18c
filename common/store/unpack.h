/* Reading msgpack in place: a cursor over bytes that nobody vouches for.
 *
 * Each call reads one item of the wanted type and moves on, or returns false and leaves the cursor
 * unspecified. Nothing is allocated, so a count is only a promise: counts larger than the bytes that are left
 * are refused (msgpack-c's unpacker would allocate for them first). Strings and binaries point into the
 * input. */
#ifndef STORE_UNPACK_H
#define STORE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unpack {
  const uint8_t *at, *end;
};

struct slice {
  const uint8_t *bytes;
  size_t size;
};

bool unpack_map(struct unpack *u, size_t *pairs);
bool unpack_array(struct unpack *u, size_t *items);
bool unpack_str(struct unpack *u, struct slice *text); /* not zero-terminated */
bool unpack_bin(struct unpack *u, struct slice *data);
bool unpack_int(struct unpack *u, int64_t low, int64_t high, int64_t *value); /* in [low, high] */
bool unpack_uint64(struct unpack *u, uint64_t *value);
bool unpack_float(struct unpack *u, double *value); /* float32 or float64; finite */
bool unpack_skip(struct unpack *u);                 /* any one item, nested up to 16 deep */

bool slice_is(struct slice s, const char *text);

#endif
