/* What decode does with a ticket: finds out which rectangle of each image its views need and decodes that.
 *
 * The crops are sampled here as in augment, from the sizes in the dataset's index (a pure function of the
 * ticket), so that only the pixels somebody needs travel. One thread, which may have others help. */
#ifndef DECODE_DECODE_H
#define DECODE_DECODE_H

#include "base/cli.h"
#include "base/pool.h"
#include "image/jpeg.h"
#include "store/dataset.h"
#include "wire/policy_cache.h"
#include "wire/worker.h"

enum { DATASETS_MAX = 64 };

struct decode_thread;

struct decode {
  struct dataset *datasets[DATASETS_MAX];
  struct text fingerprints[DATASETS_MAX];
  size_t n;
  struct policy_cache policy;
  struct pool *pool;
  struct decode_thread *threads; /* as many as the pool has */
};

/* Opens every dataset of the list and starts the threads that share the images of a shard, the caller being
 * one. Errors as dataset_open and pool_open; E_ARG (too many). Closed by decode_close, whatever came out. */
enum status decode_open(struct decode *decode, const struct cli_list *paths, int64_t threads);
void decode_close(struct decode *decode);

/* `work` of the stage (struct stage): fills in a `decoded` shard. E_NOT_FOUND (a dataset or sample that is
 * not here), E_FORMAT (a damaged sample: names it), E_ARG (more pixels than can travel). */
enum status decode_shard(void *decode, struct work *work);

#endif
