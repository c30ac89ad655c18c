/* A few threads that share the items of a job.
 *
 * Items are handed out in order, one at a time. What a job computes must not depend on which thread does an
 * item, so that the result is the same for any number of threads; of several failures the one of the lowest
 * item is reported, which does not depend on it either. The pool belongs to the thread that opened it. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdint.h>

#include "base/status.h"

enum { POOL_MAX_THREADS = 256 };

struct pool;

/* `threads` work on a job, the caller being one of them: 1 starts none. Signals are left to the caller's
 * thread. E_ARG (not 1 to POOL_MAX_THREADS), E_MEMORY, E_IO (the system has no more threads). */
enum status pool_open(struct pool **out, int64_t threads);
void pool_close(struct pool **pool); /* accepts NULL; nulls. Not while a job runs */

int pool_threads(const struct pool *pool);

/* Processors that this process may use, at most POOL_MAX_THREADS. */
int pool_cores(void);

struct pool_job {
  uint32_t items;
  void *context;
  /* Any thread; `thread` < pool_threads selects what belongs to it alone. Once it fails, no further items are
   * begun. */
  enum status (*item)(void *context, uint32_t item, int thread);
  /* The caller's thread, each time it has done an item or hears that another thread has; NULL: nothing. A job
   * in which nothing gets done is thus silent. */
  void (*progress)(void *context);
};

/* Returns when every item is done, or those begun before a failure. Errors: those of `item`. */
enum status pool_run(struct pool *pool, const struct pool_job *job);

#endif
