/* The consumer's side of the data plane: asks for batches by ticket and gets them back whole and in order.
 *
 * feed_open binds one ROUTER, at one or more endpoints, the only addresses workers need, and serves them from a thread of its own;
 * feed_next waits for the next batch. Which images a batch holds, and every pixel of it, depend only on the
 * plan below, never on the workers: any number of them may come, go or die (docs/messages.md). A shard that
 * does not come back within the lease is handed out again. Memory is bounded by `window` batches. One thread
 * calls feed_*. */
#ifndef WIRE_FEED_H
#define WIRE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cli.h"
#include "base/progress.h"
#include "base/status.h"

/* Options that every consumer shares. */
struct feed_options {
  const char *dataset, *tickets; /* tickets: folder; NULL: those that fail go to one beside the ledger */
  struct cli_list listen;
  const char *key, *allow; /* key file; list of the workers' public keys */
  bool insecure, shared_memory;
  int64_t shard, window, memory, lease_ms;
  double worker_wait_s;
};
extern const struct opt feed_opts[];

/* Which batches, in which order. Borrowed for the call. */
struct feed_plan {
  const char *run;           /* names this run in every envelope */
  const char *const *splits; /* joined in this order (STL-10: "train", "unlabeled") */
  size_t n_splits;
  const int64_t
      *chosen; /* [n_chosen] positions in the joined splits: these images alone, in this order; NULL: all */
  int64_t n_chosen;
  const char *policy; /* canonical JSON */
  uint64_t seed;
  int64_t batch; /* images per global batch */
  bool shuffle;  /* a permutation per epoch, incomplete last batch dropped; otherwise in order, last batch
                    ragged */
  int64_t first_step, last_step; /* [first, last): steps count over epochs; last < 0: one pass in order */
  const char *ledger; /* file to append to, one line per step; NULL: none. Cut back to first_step at open. */
};

struct feed;

/* Errors: E_ARG, E_IO (address in use: says which and what to do), whatever dataset_open returns. */
enum status feed_open(struct feed **out, const struct feed_options *options, const struct feed_plan *plan);
void feed_close(struct feed **feed); /* tells the workers that this run is over; nulls */

int64_t feed_steps_per_epoch(const struct feed *feed);
int64_t feed_last_step(const struct feed *feed);
const struct dataset_info *feed_dataset(const struct feed *feed);

/* Endpoint i of those where workers connect; borrowed. NULL: no more. */
const char *feed_endpoint(const struct feed *feed, size_t i);

/* Where a feed listened, for the next one of this process: workers that were told an address find both there. */
enum { FEED_ENDPOINTS_MAX = 4 };
struct feed_place {
  char *endpoints[FEED_ENDPOINTS_MAX];
};

/* Makes `options` listen where `feed` does. `place`, zeroed at first, holds the addresses; it must outlive the options'
 * use. E_MEMORY. */
enum status feed_stay(struct feed_place *place, struct feed_options *options, const struct feed *feed);
void feed_place_free(struct feed_place *place);

struct feed_view {
  int32_t size;
  const uint8_t *pixels; /* [n, size, size, 3] RGB */
  const float *params;   /* [n, n_params] */
  size_t n_params;
};

struct feed_batch {
  int64_t step, n; /* n images */
  const uint64_t *ids;
  const int32_t *labels; /* [n]; -1: unlabelled */
  const struct feed_view *views;
  int n_views;
};

/* The next batch in step order; its memory is borrowed until feed_release. E_NOT_FOUND after the last one;
 * E_INTERRUPTED when a signal asked to stop; E_PEER: a shard failed three times (names its samples), came
 * back with different bytes, or no worker showed up within --worker-wait-s. */
enum status feed_next(struct feed *feed, const struct feed_batch **batch);
enum status feed_release(struct feed *feed); /* appends the ledger line; E_IO, E_MEMORY */

/* Syncs the ledger: called before a checkpoint, so that none is ahead of it. E_IO. */
enum status feed_sync(struct feed *feed);

struct feed_counters {
  uint64_t shards;     /* received and used */
  uint64_t reissued;   /* tickets handed out again */
  uint64_t duplicates; /* shards that came twice, with the same bytes */
  uint64_t failed;     /* shards that a worker could not make */
  uint64_t hedged;     /* of the reissued: early, because they took much longer than others do */
  uint64_t refused;    /* connections over TCP that were not let in: wrong keys, none, other protocols */
  uint64_t dropped;    /* messages that were malformed, unknown or of another run */
};
struct feed_counters feed_count(struct feed *feed);

/* Puts what each worker has done so far (key "workers") and what the feed has (key "feed") into the progress
 * file; docs/messages.md has the keys. */
void feed_report(struct feed *feed, struct progress *progress);

/* From now on feed_next does so twice a second while it waits, and notes which workers are missing. Borrowed until
 * the last feed_next. */
void feed_report_waits(struct feed *feed, struct progress *progress);

#endif
