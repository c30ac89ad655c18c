/* What augment does with a decoded shard: renders every view of every image. One thread, which may have others
 * help. */
#ifndef AUGMENT_AUGMENT_H
#define AUGMENT_AUGMENT_H

#include "base/pool.h"
#include "transform/policy.h"
#include "wire/policy_cache.h"
#include "wire/worker.h"

struct augment {
  struct policy_cache policy;
  struct pool *pool;
  struct render **render; /* one per thread */
};

/* Errors as pool_open and render_open. Closed by augment_close, whatever came out. */
enum status augment_open(struct augment *augment, int64_t threads);
void augment_close(struct augment *augment);

/* `work` of the stage (struct stage): fills in an `augmented` shard. E_FORMAT (a shard that does not fit its
 * description or its ticket), E_MEMORY. */
enum status augment_shard(void *augment, struct work *work);

#endif
