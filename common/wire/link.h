/* The downstream end of a hop: one DEALER that keeps a session with its upstream alive.
 *
 *   HELLO --welcome--> OPEN --bye, silence--> HELLO        HELLO --refuse--> REFUSED --after a while--> HELLO
 *
 * In HELLO it greets until it is answered, so the two ends may start in any order; after silence it dials
 * anew. The connection's messages come out of link_receive. One thread. */
#ifndef WIRE_LINK_H
#define WIRE_LINK_H

#include "wire/keys.h"
#include "wire/monitor.h"
#include "wire/packet.h"

enum link_state { LINK_HELLO, LINK_OPEN, LINK_REFUSED };

struct link {
  void *context, *socket;
  char endpoint[ENDPOINT_MAX + 1];
  int64_t max_frame;
  const struct message *hello; /* borrowed: what to greet with */
  struct drops *drops;         /* borrowed */
  struct keys keys;            /* tcp: dial with these */
  bool has_keys;
  struct monitor watch; /* tcp: what becomes of the connection */
  int handshakes_failed;
  int64_t dialled_ms;
  bool said_nobody;
  enum link_state state;
  bool greeted; /* HELLO: the greeting has left */
  int64_t heard_ms, hello_at_ms, beat_at_ms, beat_ms, silence_ms;
  uint64_t granted, received; /* shards, in this session */
  uint64_t granted_bytes, received_bytes;
  char run[RUN_NAME_MAX + 1], refusal[256];
  uint64_t incarnation;
  bool reads_memory;         /* to be set after link_open: payloads may come in the upstream's memory */
  struct slot_reader reader; /* of payloads in the upstream's memory */
  bool shares;               /* the upstream can read payloads in this process's memory */
};

/* `keys` (copied; NULL: none) are for tcp: ipc goes in plain. Errors: E_ARG (not an endpoint; keys without the
 * other end's), E_IO. */
enum status link_open(struct link *link, void *context, const char *endpoint, int64_t max_frame,
                      const struct message *hello, struct drops *drops, const struct keys *keys);
void link_close(struct link *link, const char *reason); /* says bye */

/* Ends the session, if there is one, and greets again: the upstream gives what was sent in it to others. */
void link_restart(struct link *link, const char *reason);

/* The next message for the owner, or E_AGAIN: welcome (after which the link is OPEN), bye (it is back in
 * HELLO), and the work of the hop. Refusals, heartbeats and whatever comes out of session are dealt with
 * here. E_IO, E_MEMORY. */
enum status link_receive(struct link *link, struct packet **out);

/* Fills in what to poll for: also the connection, while there is a greeting to send. Returns how many items: 1, or
 * 0 between two attempts to dial. */
int link_poll(const struct link *link, zmq_pollitem_t *item);

/* Greets, beats, notices silence (true: the session was lost just now). */
bool link_tick(struct link *link, int64_t now_ms, const struct counters *count);

/* Tells the upstream that there is room for `room` more shards than have been received, and for so many bytes more; the
 * last one may pass them. */
void link_want(struct link *link, uint64_t room, uint64_t room_bytes);

/* Sends in an open session; otherwise, or when the peer is away, the message is dropped: leases make up for
 * it. */
enum status link_send(struct link *link, const struct message *head, zmq_msg_t *frames, int n);

#endif
