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
#include "wire/ticket.h"

enum { FAILURES_MAX = 3, SHARD_BYTES = 64 << 20 /* of decoded images, unless one pair has more */ };

enum shard_state { SHARD_WAITING, SHARD_LEASED, SHARD_DONE };

struct shard_digest {
  uint64_t pixels, labels;
};

struct shard {
  uint8_t *body; /* the encoded ticket */
  size_t body_size;
  int64_t first, n; /* positions first .. first+n-1 of the batch */
  enum shard_state state;
  uint64_t attempt;           /* of the last time it was handed out, from 1 */
  uint64_t holder;            /* session number */
  int64_t deadline_ms;        /* of the lease; after a failure, of the wait for another worker */
  struct shard_digest digest; /* when done */
  int failures;
  char failed_on[FAILURES_MAX][WORKER_NAME_MAX + 1];
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

enum accepted {
  ACCEPTED_NEW,
  ACCEPTED_SAME,      /* here already, with the same bytes */
  ACCEPTED_DIFFERENT, /* here already, with other bytes: something is not deterministic */
  ACCEPTED_OLD,       /* so old that there is nothing left to compare with */
  ACCEPTED_LOST,      /* its slot in shared memory was used again while it was read */
  ACCEPTED_NOT        /* not an answer to a ticket of this run; fail_message() says why */
};

/* Puts an `augmented` shard in its place. *ticket names it unless ACCEPTED_NOT. */
enum accepted window_accept(struct window *window, struct packet *packet, uint64_t *step, uint64_t *shard);

/* The ledger line of the complete batch `next`. */
struct ledger_line window_line(const struct window *window);

/* Moves on by one step: `next` leaves, its slot is filled with the tickets of step next+size. E_MEMORY. */
enum status window_advance(struct window *window);

#endif
