#include "protobuf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum wire_type { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

static void append(struct pb *pb, const void *bytes, size_t size) {
  if (!pb->failed && pb->room - pb->size < size) {
    size_t room = 2 * pb->room + size + 64;
    uint8_t *grown = realloc(pb->bytes, room);
    if (grown)
      pb->bytes = grown, pb->room = room;
    else
      pb->failed = true;
  }
  if (pb->failed || !size) return;
  memcpy(pb->bytes + pb->size, bytes, size);
  pb->size += size;
}

/* Seven bits a byte, the lowest first; the high bit says that more follow. */
static void append_varint(struct pb *pb, uint64_t value) {
  uint8_t bytes[10];
  size_t n = 0;
  for (; value > 127; value >>= 7) bytes[n++] = (uint8_t)(value | 128);
  bytes[n++] = (uint8_t)value;
  append(pb, bytes, n);
}

static void append_key(struct pb *pb, int field, enum wire_type type) {
  append_varint(pb, (uint64_t)field << 3 | type);
}

void pb_int(struct pb *pb, int field, int64_t value) {
  append_key(pb, field, VARINT);
  append_varint(pb, (uint64_t)value);
}

/* The low `size` bytes, the lowest first. */
static void append_fixed(struct pb *pb, uint64_t bits, size_t size) {
  bits = htole64(bits);
  append(pb, &bits, size);
}

void pb_float(struct pb *pb, int field, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  append_key(pb, field, FIXED32);
  append_fixed(pb, bits, sizeof bits);
}

void pb_double(struct pb *pb, int field, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  append_key(pb, field, FIXED64);
  append_fixed(pb, bits, sizeof bits);
}

void pb_bytes(struct pb *pb, int field, const void *bytes, size_t size) {
  append_key(pb, field, DELIMITED);
  append_varint(pb, size);
  append(pb, bytes, size);
}

void pb_string(struct pb *pb, int field, const char *text) { pb_bytes(pb, field, text, strlen(text)); }

void pb_message_take(struct pb *pb, int field, struct pb *inner) {
  pb_bytes(pb, field, inner->bytes, inner->size);
  pb->failed |= inner->failed;
  pb_free(inner);
}

void pb_free(struct pb *pb) {
  free(pb->bytes);
  *pb = (struct pb){0};
}
