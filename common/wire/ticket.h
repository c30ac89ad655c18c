/* The ticket body: everything that decides a shard's bytes, and nothing else.
 *
 * It is written once by the consumer, travels as frame 1 of `ticket`, `decoded` and `augmented`, and is
 * passed on byte for byte; digests and ledgers are xxh3 of those bytes. Run, incarnation, attempt and lease
 * (the envelope) are in the header because they differ between runs whose results must not. Pure functions;
 * thread-safe. */
#ifndef WIRE_TICKET_H
#define WIRE_TICKET_H

#include "wire/message.h"

struct ticket {
  struct text dataset;  /* fingerprint */
  struct texts splits;  /* joined in this order to number the images of an epoch */
  uint64_t step, shard; /* shard: index in the global batch of this step */
  uint64_t first;       /* position in the global batch of ids[0]; even, so that a pair is in one shard */
  struct numbers ids;   /* [1..SHARD_IMAGES] samples; positions first, first+1, ... */
  uint64_t seed;        /* key of every draw */
  struct text policy;   /* canonical JSON */
  void *storage;        /* of the arrays, when decoded */
};

/* Strings point into the frame. Errors: E_FORMAT, E_VERSION, E_MEMORY; nothing to free then. */
enum status ticket_decode(const void *frame, size_t size, struct ticket *out);
void ticket_free(struct ticket *ticket);

/* *bytes is malloc'ed. Errors: E_ARG, E_MEMORY. */
enum status ticket_encode(const struct ticket *ticket, uint8_t **bytes, size_t *size);

#endif
