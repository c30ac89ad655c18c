/* The inside of a worker, shared by its loop (worker.c) and what it sends (worker_send.c).
 *
 * Memory, in shards: decode holds at most DECODE_AHEAD tickets and results; augment at most AUGMENT_AHEAD shards plus one
 * per further decode worker, and AUGMENT_UNACKED results on their way. */
#ifndef WIRE_WORKER_IMPL_H
#define WIRE_WORKER_IMPL_H

#include "wire/link.h"
#include "wire/self_test.h"
#include "wire/server.h"
#include "wire/serving.h"
#include "wire/upstreams.h"
#include "wire/work.h"

enum { DECODE_AHEAD = 3, AUGMENT_AHEAD = 2, AUGMENT_UNACKED = 2 };

/* A result that the consumer has not acknowledged. */
struct sent {
  uint64_t step, shard, attempt;
  struct slot *slot; /* NULL: it went through the socket */
  uint64_t bytes;
};

struct worker {
  const struct stage *stage;
  void *state;
  const struct worker_options *options;
  void *context;
  char name[WORKER_NAME_MAX + 1], check[SELF_TEST_HEX + 1], machine[HOST_MAX + 1];
  struct keys keys;
  struct message hello;
  struct drops drops;
  struct link consumer;
  struct server server; /* serving stages */
  struct serving serving;
  struct upstreams decoders; /* the others */
  uint64_t incarnation;
  struct work_queue inputs, results;
  struct work_queue lent; /* serving: what augment workers hold, to be made again if one leaves */
  struct work *now;       /* what the stage is working on; NULL between shards */
  struct sent sent[AUGMENT_UNACKED];
  int unacked;
  struct slots slots;
  int64_t admitted_ms; /* when it last had a session with a consumer */
  int64_t sent_at_ms, alive_at_ms, began_ns, busy_ns;
  struct counters count;
};

/* --- worker_send.c: what leaves --- */

/* Of the run and attempt that `input` is of. */
void worker_envelope(struct message *message, enum message_kind kind, const struct message *input);

/* Says that a shard cannot be made: fail_message() is the reason. */
void worker_send_failed(struct worker *worker, const struct work *work, enum status status);

/* Serving: gives results to augment workers with credit, in order but for those that nobody can take yet. */
void worker_deliver(struct worker *worker);

/* Not serving: the result to the consumer. */
void worker_send_augmented(struct worker *worker, struct work *work);

/* Not serving: tells the decode worker that its shard is not needed any more. */
void worker_release_input(struct worker *worker, const struct work *work);

/* Asks for more work while there is room. */
void worker_grant(struct worker *worker);

#endif
