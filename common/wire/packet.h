/* Messages on sockets: a header, perhaps a ticket body and payloads, as ZeroMQ frames.
 *
 * Received payloads stay in ZeroMQ's memory until packet_free: nothing is copied. Sockets are opened with the
 * settings of the table in docs/messages.md: ROUTER_MANDATORY, IMMEDIATE, finite LINGER, bounded queues and
 * message size; every send and receive is DONTWAIT. A socket belongs to one thread. */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stdbool.h>
#include <zmq.h>

#include "wire/keys.h"
#include "wire/slot_reader.h"

enum { PACKET_FRAMES = 4, FRAME_HEADER = 0, FRAME_BODY = 1, FRAME_PIXELS = 2, FRAME_PARAMS = 3 };

/* The routing id that a ROUTER gave to a connection. */
struct peer {
  uint8_t id[255];
  uint8_t size;
};

struct packet {
  struct message head;
  void *storage; /* of the header's arrays */
  zmq_msg_t frame[PACKET_FRAMES];
  int n;
  struct payload pixels; /* `decoded`, `augmented`: frame 2; or in shared memory, after packet_map */
  struct peer from;      /* ROUTER only */
};

/* Why messages were dropped; each kind is logged once. */
enum drop {
  DROP_MALFORMED,
  DROP_OVERSIZED,
  DROP_UNKNOWN,
  DROP_VERSION,
  DROP_UNEXPECTED,
  DROP_STALE,
  DROP_KINDS
};

struct drops {
  uint64_t count[DROP_KINDS];
  const char *where; /* for the log line, e.g. "consumer socket"; borrowed */
};

void drop_note(struct drops *drops, enum drop kind, const char *reason);
uint64_t drops_total(const struct drops *drops);
extern const char *const drop_names[DROP_KINDS];

/* The next message. Malformed ones are counted in `drops` and skipped, except that a message from another
 * protocol version comes out with `*version_ok` false and nothing but head.kind and from. Errors: E_AGAIN
 * (nothing there), E_IO, E_MEMORY. */
enum status packet_receive(void *socket, bool router, struct drops *drops, struct packet **out,
                           bool *version_ok);

/* What is known of the sender's connection; NULL: nothing. Borrowed from the packet. */
const char *packet_user(struct packet *packet);    /* the key it proved to have, in hex; NULL: a plain one */
const char *packet_address(struct packet *packet); /* its IP address */

void packet_free(struct packet **packet); /* accepts NULL; nulls */

/* Finds the pixels that the sender has left in its memory; nothing to do where they are in the packet. Errors: those of
 * slot_reader_map, after counting the message as dropped; E_IO, E_MEMORY: the session cannot go on this way. */
enum status packet_map(struct packet *packet, struct slot_reader *reader, struct drops *drops);

/* Sends a header and `n` frames, which are used up whatever happens. `to` is NULL on a DEALER.
 * Errors: E_NOT_FOUND (the peer is gone), E_AGAIN (its queue is full, or not connected), E_ARG, E_IO,
 * E_MEMORY. */
enum status packet_send(void *socket, const struct peer *to, const struct message *head, zmq_msg_t *frames,
                        int n);

/* Opens a socket of `type` (ZMQ_ROUTER, ZMQ_DEALER) that refuses
 * frames over max_frame bytes. E_IO, E_MEMORY. */
enum status socket_open(void **out, void *context, int type, int64_t max_frame);
void socket_close(void **socket); /* accepts NULL; nulls */

/* The socket dials as a CURVE client: with its own pair, and the key that the other end must have. E_IO. */
enum status socket_keys(void *socket, const struct keys *keys);

/* Connects a DEALER. E_ARG (not an endpoint). */
enum status socket_connect(void *socket, const char *endpoint);

/* Binds and writes the endpoint to dial into resolved[size]. Refuses a TCP address beyond this machine unless
 * `insecure`. Errors: E_EXISTS (in use), E_ARG (not an endpoint, not allowed), E_IO. */
enum status socket_bind(void *socket, const char *endpoint, bool insecure, char *resolved, size_t size);

#endif
