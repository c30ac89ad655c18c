/* The consumer's window: the batches that are being filled or waited for, each in memory allocated once.
 *
 * Knows what every shard is (its ticket) and where its bytes go; knows nothing of sockets or workers. A
 * step's batch lives in slot step % size. Not thread-safe: feed.c locks. */
#ifndef WIRE_WINDOW_H
#define WIRE_WINDOW_H

#include "store/dataset.h"
#include "transform/policy.h"
#include "wire/feed.h"
#include "wire/ledger.h"
#include "wire/packet.h"
#include "wire/shard_hash.h"
#include "wire/ticket.h"

enum {
  FAILURES_MAX = 3,
  LOSSES_MAX = 5,
  SHARD_BYTES = 64 << 20 /* of decoded images, unless one pair has more */
};

enum shard_state { SHARD_WAITING, SHARD_LEASED, SHARD_DONE };

/* A shard handed out: it is with `holder` until that one tells that it is `at` an augment worker. */
struct lease {
  uint64_t holder, at; /* session numbers; 0: none */
  uint64_t attempt;
  int64_t sent_ms, deadline_ms;
};

/* A worker could not make a shard: `on` said so, and it may be the fault of the decode worker `from` whose pixels it had. */
struct failure {
  char on[WORKER_NAME_MAX + 1];
  char from[WORKER_NAME_MAX + 1]; /* empty: not known any more */
};

struct shard {
  uint8_t *body; /* the encoded ticket */
  size_t body_size;
  int64_t first, n; /* positions first .. first+n-1 of the batch */
  int64_t cost;     /* bytes of its decoded images */
  enum shard_state state;
  uint64_t attempt;           /* of the last time it was handed out, from 1 */
  struct lease lease[2];      /* LEASED: [0], and [1] while it is hedged */
  struct shard_digest digest; /* when done */
  uint64_t made_by;           /* when done: session of the worker it came from */
  int failures;
  int64_t prefer_until_ms; /* after a failure: until then a worker that has not failed on it is preferred */
  int losses;              /* workers that died or fell silent while they had it */
  char lost_with[WORKER_NAME_MAX + 1];
  struct failure failed[FAILURES_MAX];
};

struct batch {
  struct feed_batch view; /* what the consumer sees */
  struct feed_view views[POLICY_MAX_VIEWS];
  uint8_t *pixels[POLICY_MAX_VIEWS];
  float *params[POLICY_MAX_VIEWS];
  uint64_t *ids;
  int32_t *labels;
  int64_t *decoded_bytes; /* of each image */
  struct shard *shards;
  int64_t n_shards, done;
};

struct window {
  const struct dataset_info *dataset;
  struct policy *policy;
  const struct split **splits; /* [n_splits], in the plan's order */
  struct text *split_names;
  size_t n_splits;
  int64_t *chosen; /* [samples] positions in the joined splits; NULL: all of them, in order */
  uint64_t seed;
  bool shuffle;
  int64_t samples, per_epoch, batch, shard, last_step;
  struct batch *batches;
  int64_t size; /* batches */
  int64_t next; /* the step that the consumer gets next; steps next .. next+size-1 are in the window */
  struct past *past;
};

enum status window_open(struct window *window, const struct dataset *dataset, const struct feed_plan *plan,
                        int64_t shard, int64_t size);
void window_close(struct window *window);

/* Largest pixel frame of a shard, in bytes. */
int64_t window_shard_bytes(const struct window *window);

/* The batch of a step that is in the window; NULL otherwise. */
struct batch *window_batch(struct window *window, int64_t step);

/* A shard of a step that is in the window; NULL otherwise. */
struct shard *window_shard(struct window *window, int64_t step, int64_t shard);

/* All shards in the window, oldest first: for (c = window_begin(w); window_each(w, &c);) ... c.at */
struct cursor {
  int64_t step, shard;
  struct shard *at;
};
struct cursor window_begin(const struct window *window);
bool window_each(struct window *window, struct cursor *cursor);

enum accepted {
  ACCEPTED_NEW,
  ACCEPTED_SAME,      /* here already, with the same bytes */
  ACCEPTED_DIFFERENT, /* here already, with other bytes: something is not deterministic */
  ACCEPTED_OLD,       /* so old that there is nothing left to compare with */
  ACCEPTED_LOST,      /* its slot in shared memory was used again while it was read */
  ACCEPTED_NOT        /* not an answer to a ticket of this run; fail_message() says why */
};

/* What a result turned out to be. */
struct arrival {
  uint64_t step, shard; /* unless ACCEPTED_NOT */
  uint64_t made_by;     /* ACCEPTED_SAME, ACCEPTED_DIFFERENT: the session that the first one came from */
};

/* Puts an `augmented` shard that came from session `by` in its place. */
enum accepted window_accept(struct window *window, struct packet *packet, uint64_t by,
                            struct arrival *arrival);

/* The ledger line of the complete batch `next`. */
struct ledger_line window_line(const struct window *window);

/* Moves on by one step: `next` leaves, its slot is filled with the tickets of step next+size. E_MEMORY. */
enum status window_advance(struct window *window);

#endif
