/* How long a shard may be away, learned from those that came back.
 *
 * The typical time is the 90th percentile of the last PACE_SAMPLES turn-arounds (ticket sent to result
 * received). A shard with more pixels than their mean is given proportionally longer, one with fewer no less:
 * it queues behind the others. A few that are very slow (a stopped worker's, the first ones) lie above the
 * percentile and change nothing; when all become slower, so does the percentile.
 *
 *   hedge  1.5 x typical, at least HEDGE_FLOOR_MS: if its step is the oldest unfinished one, another worker gets the shard too, the first stays in play
 *   lease    4 x typical, at least LEASE_FLOOR_MS, twice as long for each further attempt, at most the ceiling:
 *            whoever has it is not counted on any more
 *
 * Until PACE_LEARN shards are back the lease is the ceiling and nothing is hedged. Pure; not thread-safe. */
#ifndef WIRE_PACE_H
#define WIRE_PACE_H

#include <stdint.h>

enum { PACE_SAMPLES = 64, PACE_LEARN = 8, HEDGE_FLOOR_MS = 20, LEASE_FLOOR_MS = 1000 };

struct pace {
  int64_t ceiling_ms;
  double took_ms[PACE_SAMPLES], cost[PACE_SAMPLES];
  int n, next;
  double typical_ms, mean_cost; /* over the samples */
};

void pace_open(struct pace *pace, int64_t ceiling_ms);

/* A shard of this cost (in any unit, >= 0: bytes of decoded images) came back after took_ms. */
void pace_note(struct pace *pace, int64_t took_ms, int64_t cost);

/* For the attempt-th time (from 1) that a shard is handed out. */
int64_t pace_lease_ms(const struct pace *pace, int64_t cost, uint64_t attempt);

/* INT64_MAX: not yet known. */
int64_t pace_hedge_ms(const struct pace *pace, int64_t cost);

#endif
