/* The inside of a feed, shared by the consumer's thread (feed.c) and the thread that serves the workers
 * (feed_serve.c).
 *
 * The serving thread owns the ROUTER and all sessions. It holds the lock except while it
 * waits for messages. */
#ifndef WIRE_FEED_IMPL_H
#define WIRE_FEED_IMPL_H

#include <pthread.h>

#include "wire/feed.h"
#include "wire/ledger.h"
#include "wire/self_test.h"
#include "wire/server.h"
#include "wire/window.h"

struct feed {
  struct feed_options options;
  char run[RUN_NAME_MAX + 1], endpoint[ENDPOINT_MAX + 1], check[SELF_TEST_HEX + 1];
  struct dataset *dataset;
  struct ledger *ledger;
  void *context;
  uint64_t incarnation;
  pthread_t thread;
  bool has_thread, has_lock;
  int wake; /* eventfd: the consumer's thread has made room, or closes */

  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct window window;
  struct server server;
  struct feed_counters count;
  bool taken, closing, decoders_changed;
  int64_t roles_seen_ms; /* when there last was a worker of each role */
  enum status failure;
  char failure_text[1024];
  char refusal[256]; /* of the last worker turned away */
};

/* Takes over the bound socket. */
void feed_serve_open(struct feed *feed, void *socket);

/* The serving thread: `arg` is the feed. Ends when it is closing, and tells the workers. */
void *feed_serve(void *arg);

/* Whether a worker of this role is there and talks. Locked. */
bool feed_has_role(const struct feed *feed, const char *role);

#endif
