/* Protocol buffers, written by hand: the fields of one message, one after another. A message inside another is
 * written first and then put into it with pb_bytes. Memory that ran out is remembered in `failed`, so that only
 * the end needs a check. */
#ifndef EVENTS_PROTOBUF_H
#define EVENTS_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pb { /* starts zeroed; pb_free */
  uint8_t *bytes;
  size_t size, room;
  bool failed;
};

void pb_int(struct pb *pb, int field,
            int64_t value); /* int32, int64 and enums: a negative one takes ten bytes */
void pb_float(struct pb *pb, int field, float value);
void pb_double(struct pb *pb, int field, double value);
void pb_bytes(struct pb *pb, int field, const void *bytes, size_t size);
void pb_string(struct pb *pb, int field, const char *text);

/* Puts `inner` in as a message and frees it. */
void pb_message_take(struct pb *pb, int field, struct pb *inner);
void pb_free(struct pb *pb);

#endif
