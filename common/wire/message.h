/* The header (frame 0) of every message: a flat msgpack map, one struct for all kinds.
 *
 * Which fields a kind has is the table in message.c; docs/messages.md says what they mean and
 * schemas/messages/KIND.schema.json describes the decoded map. Pure functions; thread-safe. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "wire/counters.h"
#include "wire/fields.h"

enum {
  WIRE_VERSION = 1,
  SHARD_IMAGES = 256,      /* most images in a shard */
  SHARD_ENTRIES = 256 * 8, /* most (view, image) pairs: POLICY_MAX_VIEWS views */
  ENDPOINT_MAX = 255,
  WORKER_NAME_MAX = 95,
  RUN_NAME_MAX = 127,
  AVOID_MAX = 8, /* most workers that a ticket avoids */
  HOST_MAX = 16, /* of endpoint_machine */
  SERVE_MAX = 4, /* endpoints of a decode worker */
  KEY_HEX = 64,
  KEYS_MAX = 900 /* public keys in a message */
};

enum message_kind {
  MESSAGE_HELLO,
  MESSAGE_WELCOME,
  MESSAGE_REFUSE,
  MESSAGE_DECODERS,
  MESSAGE_ALLOWED,
  MESSAGE_WANT,
  MESSAGE_TICKET,
  MESSAGE_PASSED,
  MESSAGE_DECODED,
  MESSAGE_AUGMENTED,
  MESSAGE_ACK,
  MESSAGE_FAILED,
  MESSAGE_BEAT,
  MESSAGE_BYE,
  MESSAGE_KINDS
};

/* A slot in the memory of the process that wrote the message. */
struct memory_place {
  uint64_t fd, nonce;         /* descriptor in that process; random number at the beginning of the file */
  uint64_t generation, bytes; /* of the payload; a slot that is used again has another generation */
};

struct message {
  enum message_kind kind;
  struct text worker; /* hello: its name; passed: the augment worker's */
  /* hello */
  struct text role, build, check;
  struct text host; /* which machine, as endpoint_machine tells it */
  struct text key;  /* public key of the endpoints in `serve`, in hex; empty: plain */
  struct texts serve, datasets;
  /* welcome */
  struct text dataset;
  uint64_t beat_ms, silence_ms;
  /* hello, welcome: a page of the sender's memory for the receiver to try and read; pid 0: none. decoded, augmented: where
   * the pixels are, all zero: in frame 2 (slots.h). */
  uint64_t pid;
  struct memory_place memory;
  uint64_t shared; /* welcome, want: 1: the sender can read payloads in the receiver's memory */
  /* welcome, and the envelope of ticket, decoded, augmented, ack, failed */
  struct text run;
  uint64_t incarnation, attempt, lease_ms;
  uint64_t step, shard;  /* passed, ack, failed: where no ticket body travels */
  uint64_t bytes;        /* ticket: of its decoded images, at most */
  uint64_t credit_bytes; /* want: bytes of shards the worker can take in this session, from its start */
  struct texts avoid;    /* ticket: augment workers that it should not be passed to */
  struct text reason;    /* refuse, failed, bye */
  struct texts decoders; /* endpoints */
  struct texts keys;     /* decoders: of each endpoint, empty: plain; allowed: who may connect; hex */
  uint64_t credits;      /* want: shards the worker can take in this session, from its start */
  struct counters count; /* beat */
  /* decoded: per image; augmented: per (view, image), view by view */
  struct numbers height, width, offset;
  struct numbers left, top, whole_height,
      whole_width;       /* decoded: of the region in the original; the original's size */
  struct numbers params; /* augmented: parameters per image, for each view */
};

const char *message_kind_name(enum message_kind kind);

/* How many frames a message of this kind has, header included. */
int message_frames(enum message_kind kind);

/* Reads and validates a header. Strings point into the frame, arrays into *storage (the caller frees it).
 * Errors: E_FORMAT; E_VERSION with only `kind` filled in (-1 if that is unknown too); E_MEMORY. */
enum status message_decode(const void *frame, size_t size, struct message *out, void **storage);

/* *bytes is malloc'ed. Errors: E_ARG (a field over its limit), E_MEMORY. */
enum status message_encode(const struct message *message, uint8_t **bytes, size_t *size);

#endif
