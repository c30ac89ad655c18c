/* Reading payloads where another process of this host has put them (slots.h): the receiver's side of a session.
 *
 * slot_reader_open tries the page that the peer's greeting names: it opens /proc/PID/fd/FD, which the kernel allows to the
 * same user, and finds the random number there only if that process is the one that wrote the message. A peer on another
 * host, in another container or of another user fails this, and the session goes through the socket. Everything a peer
 * says is checked before it is touched, and mapped read-only. One thread. */
#ifndef WIRE_SLOT_READER_H
#define WIRE_SLOT_READER_H

#include "wire/slots.h"

/* A file of the peer's, mapped until the reader and every payload in it are closed. */
struct slot_map {
  int users;
  uint64_t fd, nonce;
  const struct slot_page *page;
  size_t size; /* of the file */
};

struct slot_reader {
  uint64_t pid; /* 0: not open */
  struct slot_map *maps[SLOTS_MAX];
  int n, turn;
};

/* Pixels of a message, wherever they are. */
struct payload {
  const uint8_t *at;
  size_t size;
  struct slot_map *map; /* NULL: in a frame */
  uint64_t generation;
};

/* E_NOT_FOUND: cannot read this peer's memory (says why); the reader stays closed. E_IO, E_MEMORY: this
 * process can map no more. */
enum status slot_reader_open(struct slot_reader *reader, const struct message *greeting);
void slot_reader_close(struct slot_reader *reader); /* payloads stay readable */

/* The payload at `place`. Errors: E_FORMAT (no such place: not open, outside its file, not a slot), E_NOT_FOUND (the slot
 * is gone or holds another payload by now), E_IO, E_MEMORY (this process can map no more). */
enum status slot_reader_map(struct slot_reader *reader, const struct memory_place *place,
                            struct payload *out);

/* Whether it has been the same payload all the time: to be asked after the last use, before believing what was read. */
bool payload_intact(const struct payload *payload);
void payload_close(struct payload *payload);

#endif
