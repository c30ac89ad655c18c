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
#include "wire/listen.h"
#include "wire/pace.h"
#include "wire/self_test.h"
#include "wire/server.h"
#include "wire/window.h"

/* For every HEDGE_SHARE shards that come back one may be hedged, and no more than HEDGE_BURST at once: second
 * tickets never add more than this to the work of a run. */
enum { HEDGE_SHARE = 8, HEDGE_BURST = 8 };

struct feed {
  struct feed_options options;
  char run[RUN_NAME_MAX + 1], check[SELF_TEST_HEX + 1], machine[HOST_MAX + 1];
  struct listening listening; /* its socket is the server's */
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
  struct pace pace;
  int hedge_credit; /* grows by one with every shard that comes back; a hedge costs several */
  char (*names)[WORKER_NAME_MAX + 1]; /* [SESSIONS_MAX] of sessions, at number % SESSIONS_MAX */
  bool taken, closing, decoders_changed, said_unreachable;
  uint64_t keys_sent;          /* guard_version of the list that decode workers have */
  int64_t roles_seen_ms;       /* when there last was a worker of each role */
  struct progress *progress;   /* told while a batch is waited for; NULL: none */
  int64_t told_ms;             /* when it last was */
  bool noted_missing;          /* its note is about missing workers */
  int64_t asked_ns, waited_ns; /* when the first batch was asked for; how long batches were waited for */
  int64_t wait_began_ns;       /* of the one that is waited for; 0: none is */
  enum status failure;
  char failure_text[1024];
  char tickets[ENDPOINT_MAX + 1]; /* folder for tickets that fail; empty: none */
  char refusal[256];              /* of the last worker turned away */
};

/* --- feed_serve.c: what the workers say --- */

/* Takes over the socket of feed->listening. */
void feed_serve_open(struct feed *feed);

/* Tells every augment worker which decode workers it can dial, and every decode worker with a key who may fetch, if
 * something has changed. Not from within a hook: sending can end sessions. */
void feed_roster_spread(struct feed *feed);

/* The serving thread: `arg` is the feed. Ends when it is closing, and tells the workers. */
void *feed_serve(void *arg);

/* Whether a worker of this role is there and talks. Locked. */
bool feed_has_role(const struct feed *feed, const char *role);

/* --- feed_report.c --- */

/* Tells feed->progress, now and then, that a batch is waited for. Locked; lets go of the lock while it writes. */
void feed_report_wait(struct feed *feed);

/* --- feed_keep.c: tickets on disk, for tandem-augment replay --- */

enum status feed_keep_open(struct feed *feed, const char *ledger);

/* Writes the tickets of the step about to be released. Locked. E_IO, E_MEMORY. */
enum status feed_keep_tickets(struct feed *feed);

/* feed_stop_run for what this shard did; its ticket is kept and the message says where. Locked. */
void feed_stop_for_shard(struct feed *feed, uint64_t step, uint64_t shard, const void *body, size_t size);

/* --- feed_tickets.c: which worker gets which shard. Locked, serving thread. --- */

/* Ends the run with the last failure's message; the first reason stays. */
void feed_stop_run(struct feed *feed, enum status status);

struct message feed_envelope(const struct feed *feed, enum message_kind kind, uint64_t attempt);

/* Gives waiting shards to workers with credit, oldest first. */
void feed_hand_out(struct feed *feed);

/* Gives late shards of the oldest unfinished step to another worker too. Returns after how many ms the next one may be late. */
int64_t feed_hedge(struct feed *feed, int64_t now_ms);

void feed_end_leases(struct feed *feed, int64_t now_ms);

/* The result of this attempt was the first one. */
void feed_came_back(struct feed *feed, struct shard *shard, uint64_t attempt, int64_t now_ms);

/* A decode worker has passed a shard on (`passed`); a worker could not make one (`failed`). */
void feed_passed(struct feed *feed, const struct session *from, const struct message *message);
void feed_failed(struct feed *feed, const struct session *from, const struct message *message);

/* A worker has left; `lost`: died or fell silent. */
void feed_lose(struct feed *feed, const struct session *session, bool lost);

#endif
