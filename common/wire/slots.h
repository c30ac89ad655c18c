/* Payloads for processes of the same host stay in memory that both have mapped; the message says where.
 *
 * A slot is an anonymous memory file (memfd_create) without a name anywhere, so the kernel frees it with the last process
 * that has it, whoever is killed. It begins with a page that says what it is; the payload follows. The producer owns its
 * slots: it takes one, fills it, describes it in a header, and frees it for the next payload when that one is
 * acknowledged or its session ends. It never waits for a reader: a slot that is taken again gets another generation
 * before the first byte is written, and a reader compares the generation after its last use (slot_reader.h). So one that
 * was stopped meanwhile may have seen bytes of two payloads, but knows it and drops what it made of them.
 *
 * The files are sealed: none shrinks under a reader, and nobody but the producer writes. Memory is bounded by `limit`; when there
 * is none, or the kernel has no such files, slots_take gives NULL and the payload travels as a frame. One
 * thread. */
#ifndef WIRE_SLOTS_H
#define WIRE_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "wire/message.h"

enum { SLOTS_MAX = 256, SLOT_PAGE = 4096 };

#define SLOTS_BYTES_MAX ((size_t)1 << 30) /* of all slots of a worker; more goes through the socket */
#define SLOT_MAGIC      UINT64_C(0x4c534d45444e4154) /* "TANDEMSL" */

/* The first page of a slot. */
struct slot_page {
  uint64_t magic, nonce;
  _Atomic uint64_t generation; /* of the payload that follows */
};

struct slot {
  int fd;
  struct slot_page *page;
  size_t room, backed; /* bytes of payload that the file can hold; that have memory */
  size_t bytes;        /* of the payload in it */
  bool taken;
};

struct slots {
  bool open;
  size_t limit, backed;  /* bytes */
  struct slot *greeting; /* its page is what peers try to read */
  struct slot *at[SLOTS_MAX];
  int n;
};

/* Limit 0, or a kernel that cannot: no slot will be given. */
void slots_open(struct slots *slots, size_t limit);
void slots_close(struct slots *slots); /* taken ones too */

/* Fills pid and memory of a `hello` or `welcome`; zeros if there are no slots. */
void slots_greet(const struct slots *slots, struct message *greeting);

/* A slot for a payload of this many bytes, of a generation that no message has named. NULL: use a frame. */
struct slot *slots_take(struct slots *slots, size_t bytes);
void slot_free(struct slot **slot); /* accepts NULL; nulls */

/* The memory of free slots goes back to the system: the next run's shards have another size. */
void slots_trim(struct slots *slots);

uint8_t *slot_payload(const struct slot *slot); /* [bytes], 64-byte aligned */
struct memory_place slot_place(const struct slot *slot);

#endif
