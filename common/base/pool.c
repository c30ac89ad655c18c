#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct helper {
  struct pool *pool;
  pthread_t id;
  int number; /* from 1: the caller is 0 */
};

struct pool {
  int threads, started; /* helpers running */
  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t more, done;
  bool closing;
  const struct pool_job *job; /* NULL between jobs */
  uint32_t next, unfinished;  /* items: the first not begun; how many are begun and not done */
  uint32_t reports;           /* items that helpers have done */
  enum status status;         /* of the lowest item that failed */
  uint32_t failed;
  char message[1024];
  struct helper helpers[];
};

/* With the lock: the next item, if there is one. */
static bool begin(struct pool *p, uint32_t *item) {
  if (!p->job || p->status != OK || p->next == p->job->items) return false;
  *item = p->next++;
  p->unfinished++;
  return true;
}

/* With the lock; `st` is of this thread, and so is its message. */
static void finish(struct pool *p, uint32_t item, enum status st) {
  p->unfinished--;
  if (st == OK || (p->status != OK && p->failed < item)) return;
  p->status = st;
  p->failed = item;
  snprintf(p->message, sizeof p->message, "%s", fail_message());
}

static void *help(void *argument) {
  struct helper *h = argument;
  struct pool *p = h->pool;
  uint32_t item;
  pthread_mutex_lock(&p->lock);
  while (!p->closing) {
    if (!begin(p, &item)) {
      pthread_cond_wait(&p->more, &p->lock);
      continue;
    }
    const struct pool_job *job = p->job;
    pthread_mutex_unlock(&p->lock);
    enum status st = job->item(job->context, item, h->number);
    pthread_mutex_lock(&p->lock);
    finish(p, item, st);
    p->reports++;
    pthread_cond_signal(&p->done);
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

static enum status start(struct pool *p) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = 0;
  while (!rc && p->started < p->threads - 1) {
    struct helper *h = &p->helpers[p->started];
    *h = (struct helper){.pool = p, .number = p->started + 1};
    rc = pthread_create(&h->id, NULL, help, h);
    p->started += rc == 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc ? fail(E_IO, "cannot start thread %d of %d: %s", p->started + 2, p->threads, strerror(rc)) : OK;
}

enum status pool_open(struct pool **out, int64_t threads) {
  *out = NULL;
  if (threads < 1 || threads > POOL_MAX_THREADS)
    return fail(E_ARG, "--threads must lie between 1 and %d", POOL_MAX_THREADS);
  struct pool *p = calloc(1, sizeof *p + (size_t)threads * sizeof *p->helpers);
  if (!p) return fail(E_MEMORY, "out of memory");
  p->threads = (int)threads;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->more, NULL);
  pthread_cond_init(&p->done, NULL);
  enum status st = start(p);
  if (st == OK)
    *out = p;
  else
    pool_close(&p);
  return st;
}

void pool_close(struct pool **pool) {
  struct pool *p = *pool;
  *pool = NULL;
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  p->closing = true;
  pthread_cond_broadcast(&p->more);
  pthread_mutex_unlock(&p->lock);
  for (int i = 0; i < p->started; i++) pthread_join(p->helpers[i].id, NULL);
  pthread_cond_destroy(&p->done);
  pthread_cond_destroy(&p->more);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

int pool_threads(const struct pool *pool) { return pool->threads; }

int pool_cores(void) {
  cpu_set_t set;
  int n =
      sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1; /* fails beyond 1024 processors */
  return n < POOL_MAX_THREADS ? n : POOL_MAX_THREADS;
}

/* With the lock, which is given up meanwhile. */
static void tell(struct pool *p, const struct pool_job *job) {
  if (!job->progress) return;
  pthread_mutex_unlock(&p->lock);
  job->progress(job->context);
  pthread_mutex_lock(&p->lock);
}

enum status pool_run(struct pool *p, const struct pool_job *job) {
  uint32_t item;
  pthread_mutex_lock(&p->lock);
  p->job = job;
  p->next = p->reports = 0;
  p->status = OK;
  if (p->started && job->items > 1) pthread_cond_broadcast(&p->more);
  while (begin(p, &item)) {
    pthread_mutex_unlock(&p->lock);
    enum status st = job->item(job->context, item, 0);
    pthread_mutex_lock(&p->lock);
    finish(p, item, st);
    tell(p, job);
  }
  while (p->unfinished) {
    uint32_t heard = p->reports;
    while (p->unfinished && p->reports == heard) pthread_cond_wait(&p->done, &p->lock);
    tell(p, job);
  }
  p->job = NULL;
  enum status st = p->status;
  if (st != OK) fail(st, "%s", p->message);
  pthread_mutex_unlock(&p->lock);
  return st;
}
