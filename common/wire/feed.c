/* The consumer's thread on one side, the thread that serves the workers on the other, one lock between them.
 * The serving thread owns the ROUTER and all sessions; it holds the lock except while it waits for messages.
 */
#include "wire/feed.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "wire/ledger.h"
#include "wire/server.h"
#include "wire/window.h"

const struct opt feed_opts[] = {
    {"dataset", OPT_STR, offsetof(struct feed_options, dataset), NULL, "dataset made by tandem-ingest",
     .required = true},
    {"listen", OPT_STR, offsetof(struct feed_options, listen), NULL,
     "endpoint for the workers, e.g. ipc:///tmp/run/feed or tcp://127.0.0.1:5555 (default: a private ipc "
     "one, in the log)"},
    {"insecure", OPT_BOOL, offsetof(struct feed_options, insecure), NULL,
     "allow --listen at a TCP address that other machines can reach"},
    {"shard", OPT_INT, offsetof(struct feed_options, shard), "32", "images per ticket, an even number"},
    {"window", OPT_INT, offsetof(struct feed_options, window), "3", "batches in memory"},
    {"lease-ms", OPT_INT, offsetof(struct feed_options, lease_ms), "10000",
     "a shard that is not back after this time is handed out again"},
    {"worker-wait-s", OPT_FLOAT, offsetof(struct feed_options, worker_wait_s), "60",
     "give up when there has been no decode or no augment worker for this long"},
    {0}};

struct feed {
  struct feed_options options;
  char run[RUN_NAME_MAX + 1], endpoint[ENDPOINT_MAX + 1];
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

/* Ends the run; the first reason stays. */
static void stop_run(struct feed *f, enum status status) {
  if (f->failure != OK) return;
  f->failure = status;
  snprintf(f->failure_text, sizeof f->failure_text, "%s", fail_message());
  pthread_cond_broadcast(&f->changed);
}

/* --- Handing out
 * ----------------------------------------------------------------------------------------------------------
 */

static bool failed_before(const void *arg, const struct session *session) {
  const struct shard *s = arg;
  for (int i = 0; i < s->failures; i++)
    if (strcmp(s->failed_on[i], session->worker) == 0) return true;
  return false;
}

/* A worker that has not failed on this shard; if all have, any. */
static struct session *pick_worker(struct feed *f, const struct shard *s) {
  struct session *session = server_with_credit(&f->server, "decode", failed_before, s);
  if (session || !s->failures) return session;
  for (size_t i = 0; i < f->server.n; i++) {
    const struct session *other = f->server.sessions[i];
    if (strcmp(other->role, "decode") == 0 && !other->silent && !failed_before(s, other))
      return NULL; /* wait for it */
  }
  return server_with_credit(&f->server, "decode", NULL, NULL);
}

static struct message envelope(const struct feed *f, enum message_kind kind, uint64_t attempt) {
  return (struct message){.kind = kind,
                          .run = text_of(f->run),
                          .incarnation = f->incarnation,
                          .attempt = attempt,
                          .lease_ms = (uint64_t)f->options.lease_ms};
}

/* False: nobody can take it now. */
static bool hand_out(struct feed *f, struct shard *s) {
  for (;;) {
    struct session *session = pick_worker(f, s);
    if (!session) return false;
    struct message m = envelope(f, MESSAGE_TICKET, s->attempt + 1);
    zmq_msg_t body;
    if (zmq_msg_init_size(&body, s->body_size) != 0) return false;
    memcpy(zmq_msg_data(&body), s->body, s->body_size);
    uint64_t holder = session->number;
    enum status st = server_send(&f->server, session, &m, &body, 1, true);
    if (st == E_NOT_FOUND) continue;
    if (st != OK) return false;
    f->count.reissued += s->attempt > 0;
    s->attempt++;
    s->state = SHARD_LEASED;
    s->holder = holder;
    s->deadline_ms = clock_ms() + f->options.lease_ms;
    return true;
  }
}

static void hand_out_all(struct feed *f) {
  for (int64_t step = f->window.next; step < f->window.next + f->window.size; step++) {
    struct batch *b = window_batch(&f->window, step);
    for (int64_t k = 0; b && k < b->n_shards; k++)
      if (b->shards[k].state == SHARD_WAITING && !hand_out(f, &b->shards[k])) return;
  }
}

/* Takes back every lease that `over` says is over. */
static void take_back(struct feed *f, bool (*over)(const struct shard *s, int64_t arg), int64_t arg) {
  for (int64_t step = f->window.next; step < f->window.next + f->window.size; step++) {
    struct batch *b = window_batch(&f->window, step);
    for (int64_t k = 0; b && k < b->n_shards; k++) {
      struct shard *s = &b->shards[k];
      if (s->state != SHARD_LEASED || !over(s, arg)) continue;
      log_debug("step %" PRId64 ", shard %" PRId64 ": attempt %" PRIu64 " is over", step, k, s->attempt);
      s->state = SHARD_WAITING;
    }
  }
}

static bool lease_ended(const struct shard *s, int64_t now_ms) { return now_ms >= s->deadline_ms; }

static bool held_by(const struct shard *s, int64_t number) { return s->holder == (uint64_t)number; }

/* --- What the workers say
 * ------------------------------------------------------------------------------------------------- */

static const char *admit(void *owner, const struct message *hello) {
  struct feed *f = owner;
  const struct dataset_info *info = f->window.dataset;
  if (!text_is(hello->build, TANDEM_VERSION)) {
    snprintf(f->refusal, sizeof f->refusal, "it is build %.*s and the consumer %s; install the same build",
             TEXT_ARG(hello->build), TANDEM_VERSION);
    return f->refusal;
  }
  if (text_is(hello->role, "augment")) return NULL;
  if (!text_is(hello->role, "decode")) return "its role is neither decode nor augment";
  if (hello->serve.size < 6 ||
      (memcmp(hello->serve.at, "ipc://", 6) != 0 && memcmp(hello->serve.at, "tcp://", 6) != 0))
    return "it names no endpoint where its shards can be fetched";
  for (uint32_t i = 0; i < hello->datasets.count; i++)
    if (text_is(hello->datasets.at[i], info->fingerprint)) return NULL;
  snprintf(f->refusal, sizeof f->refusal,
           "this run needs dataset '%.100s' with fingerprint %s; give it with --dataset", info->name,
           info->fingerprint);
  return f->refusal;
}

static void welcome(void *owner, struct message *m) {
  struct feed *f = owner;
  m->run = text_of(f->run);
  m->incarnation = f->incarnation;
  m->dataset = text_of(f->window.dataset->fingerprint);
}

static void send_decoders(struct feed *f, struct session *to) {
  struct text endpoints[240];
  uint32_t n = 0;
  for (size_t i = 0; i < f->server.n && n < 240; i++) {
    const struct session *s = f->server.sessions[i];
    if (strcmp(s->role, "decode") == 0 && !s->silent) endpoints[n++] = text_of(s->serve);
  }
  struct message m = {.kind = MESSAGE_DECODERS, .decoders = {endpoints, n}};
  server_send(&f->server, to, &m, NULL, 0, false);
}

/* Not from within a hook: sending can end sessions. */
static void spread_decoders(struct feed *f) {
  if (!f->decoders_changed) return;
  f->decoders_changed = false;
  for (size_t i = f->server.n; i-- > 0;)
    if (strcmp(f->server.sessions[i]->role, "augment") == 0) send_decoders(f, f->server.sessions[i]);
}

static void joined(void *owner, struct session *session) {
  struct feed *f = owner;
  log_info("%s worker %s joined", session->role, session->worker);
  f->decoders_changed = true;
}

static void left(void *owner, struct session *session) {
  struct feed *f = owner;
  if (strcmp(session->role, "decode") != 0) return;
  f->decoders_changed = true;
  take_back(f, held_by, (int64_t)session->number);
}

static bool is_ours(const struct feed *f, const struct message *m) {
  return m->incarnation == f->incarnation && text_is(m->run, f->run);
}

static void on_augmented(struct feed *f, struct session *session, struct packet *p) {
  uint64_t step = 0, shard = 0;
  switch (window_accept(&f->window, p, &step, &shard)) {
  case ACCEPTED_NEW:
    f->count.shards++;
    if (f->window.batches[step % (uint64_t)f->window.size].done ==
        f->window.batches[step % (uint64_t)f->window.size].n_shards)
      pthread_cond_broadcast(&f->changed);
    break;
  case ACCEPTED_SAME: f->count.duplicates++; break;
  case ACCEPTED_OLD: drop_note(&f->server.drops, DROP_STALE, "a shard of a step long past"); break;
  case ACCEPTED_NOT: drop_note(&f->server.drops, DROP_MALFORMED, fail_message()); return;
  case ACCEPTED_DIFFERENT:
    fail(E_PEER,
         "step %" PRIu64 ", shard %" PRIu64
         " came back twice with different bytes, the second time from worker %s: the "
         "result depends on the machine or on chance; run tandem-augment apply on its images to find out "
         "where",
         step, shard, session->worker);
    stop_run(f, E_PEER);
  }
  struct message ack = envelope(f, MESSAGE_ACK, p->head.attempt);
  ack.step = step;
  ack.shard = shard;
  server_send(&f->server, session, &ack, NULL, 0, false);
}

static void give_up(struct feed *f, const struct batch *b, const struct shard *s, const struct message *m) {
  char ids[256] = "";
  size_t used = 0;
  for (int64_t i = s->first; i < s->first + s->n && used < sizeof ids - 32; i++)
    used +=
        (size_t)snprintf(ids + used, sizeof ids - used, "%s%" PRIu64, i > s->first ? ", " : "", b->ids[i]);
  fail(E_PEER,
       "step %" PRId64 ", shard %" PRIu64 " failed %d times, last on worker %s (%.*s); its samples: %s%s",
       b->view.step, m->shard, FAILURES_MAX, s->failed_on[FAILURES_MAX - 1], TEXT_ARG(m->reason), ids,
       used >= sizeof ids - 32 ? ", ..." : "");
  stop_run(f, E_PEER);
}

static void on_failed(struct feed *f, struct session *session, const struct message *m) {
  struct batch *b = window_batch(&f->window, (int64_t)m->step);
  struct shard *s = b && (int64_t)m->shard < b->n_shards ? &b->shards[m->shard] : NULL;
  if (!s || s->state == SHARD_DONE || s->failures == FAILURES_MAX) return;
  log_warn("step %" PRIu64 ", shard %" PRIu64 " failed on worker %s: %.*s", m->step, m->shard,
           session->worker, TEXT_ARG(m->reason));
  f->count.failed++;
  snprintf(s->failed_on[s->failures++], sizeof s->failed_on[0], "%s", session->worker);
  s->state = SHARD_WAITING;
  if (s->failures == FAILURES_MAX) give_up(f, b, s, m);
}

static void on_message(void *owner, struct session *session, struct packet **packet) {
  struct feed *f = owner;
  struct packet *p = *packet;
  bool augmented = p->head.kind == MESSAGE_AUGMENTED && strcmp(session->role, "augment") == 0;
  if (!augmented && p->head.kind != MESSAGE_FAILED)
    drop_note(&f->server.drops, DROP_UNEXPECTED, message_kind_name(p->head.kind));
  else if (!is_ours(f, &p->head))
    drop_note(&f->server.drops, DROP_STALE, "of another run or incarnation");
  else if (augmented)
    on_augmented(f, session, p);
  else
    on_failed(f, session, &p->head);
}

/* --- The serving thread
 * ---------------------------------------------------------------------------------------------------- */

static bool has_role(const struct feed *f, const char *role) {
  for (size_t i = 0; i < f->server.n; i++)
    if (!f->server.sessions[i]->silent && strcmp(f->server.sessions[i]->role, role) == 0) return true;
  return false;
}

static void serve_once(struct feed *f) {
  enum status st = server_pump(&f->server);
  if (st != OK) stop_run(f, st);
  int64_t now = clock_ms();
  server_tick(&f->server, now);
  take_back(f, lease_ended, now);
  spread_decoders(f);
  if (has_role(f, "decode") && has_role(f, "augment")) f->roles_seen_ms = now;
  if (f->failure == OK) hand_out_all(f);
}

static void *serve(void *arg) {
  struct feed *f = arg;
  pthread_mutex_lock(&f->lock);
  while (!f->closing) {
    serve_once(f);
    pthread_mutex_unlock(&f->lock);
    zmq_pollitem_t items[] = {{.socket = f->server.socket, .events = ZMQ_POLLIN},
                              {.fd = f->wake, .events = ZMQ_POLLIN}};
    zmq_poll(items, 2, 50);
    uint64_t n;
    if (items[1].revents && read(f->wake, &n, sizeof n) < 0) log_debug("eventfd: %s", strerror(errno));
    pthread_mutex_lock(&f->lock);
  }
  server_close(&f->server, "the run is over");
  pthread_mutex_unlock(&f->lock);
  return NULL;
}

static void wake(struct feed *f) {
  uint64_t one = 1;
  if (write(f->wake, &one, sizeof one) < 0) log_debug("eventfd: %s", strerror(errno));
}

/* --- The consumer's thread
 * ------------------------------------------------------------------------------------------------- */

static enum status check_options(const struct feed_options *o, const struct feed_plan *plan) {
  if (!o->dataset) return fail(E_ARG, "--dataset is required");
  if (o->lease_ms < 10 || o->lease_ms > 86400000)
    return fail(E_ARG, "--lease-ms must be from 10 to 86400000");
  if (!(o->worker_wait_s > 0)) return fail(E_ARG, "--worker-wait-s must be positive");
  if (!plan->run || strlen(plan->run) > RUN_NAME_MAX)
    return fail(E_ARG, "a run's name has at most %d bytes", RUN_NAME_MAX);
  return OK;
}

static enum status bind_socket(struct feed *f) {
  char endpoint[ENDPOINT_MAX + 1];
  void *socket = NULL;
  enum status st = OK;
  if (f->options.listen)
    snprintf(endpoint, sizeof endpoint, "%s", f->options.listen);
  else
    TRY(endpoint_private("feed", endpoint, sizeof endpoint));
  int64_t largest = window_shard_bytes(&f->window);
  TRY(socket_open(&socket, f->context, ZMQ_ROUTER, largest > FRAME_MAX * 4 ? largest : FRAME_MAX * 4));
  TRY(socket_bind(socket, endpoint, f->options.insecure, f->endpoint, sizeof f->endpoint));
  server_open(&f->server, socket, "consumer socket",
              (struct server_hooks){f, admit, welcome, joined, left, on_message});
  return OK;
out:
  socket_close(&socket);
  return st;
}

static enum status start_thread(struct feed *f) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  f->has_lock = true;
  f->roles_seen_ms = clock_ms();
  int error = pthread_create(&f->thread, NULL, serve, f);
  if (error) return fail(E_IO, "cannot start a thread: %s", strerror(error));
  f->has_thread = true;
  return OK;
}

enum status feed_open(struct feed **out, const struct feed_options *options, const struct feed_plan *plan) {
  *out = NULL;
  struct feed *f = calloc(1, sizeof *f);
  if (!f) return fail(E_MEMORY, "out of memory");
  f->options = *options;
  f->wake = -1;
  enum status st = OK;
  TRY(check_options(options, plan));
  strcpy(f->run, plan->run);
  if (getrandom(&f->incarnation, sizeof f->incarnation, 0) != sizeof f->incarnation)
    TRY(fail(E_IO, "no random numbers: %s", strerror(errno)));
  f->incarnation >>= 11; /* 53 bits: what every JSON reader keeps */
  TRY(dataset_open(&f->dataset, options->dataset));
  TRY(window_open(&f->window, f->dataset, plan, options->shard, options->window));
  f->context = zmq_ctx_new();
  f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!f->context || f->wake < 0) TRY(fail(E_IO, "cannot start ZeroMQ: %s", strerror(errno)));
  TRY(bind_socket(f));
  if (plan->ledger) TRY(ledger_open(&f->ledger, plan->ledger, plan->first_step));
  TRY(start_thread(f));
  log_info("run '%s' waits for workers at %s", f->run, f->endpoint);
  *out = f;
  return OK;
out:
  feed_close(&f);
  return st;
}

void feed_close(struct feed **feed) {
  struct feed *f = *feed;
  if (!f) return;
  if (f->has_thread) {
    pthread_mutex_lock(&f->lock);
    f->closing = true;
    pthread_mutex_unlock(&f->lock);
    wake(f);
    pthread_join(f->thread, NULL);
  }
  server_close(&f->server, "the run is over"); /* when the thread never started */
  if (f->has_lock) {
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
  }
  if (f->context) zmq_ctx_term(f->context);
  if (f->wake >= 0) close(f->wake);
  ledger_close(&f->ledger);
  window_close(&f->window);
  dataset_close(&f->dataset);
  free(f);
  *feed = NULL;
}

int64_t feed_steps_per_epoch(const struct feed *feed) { return feed->window.per_epoch; }
int64_t feed_last_step(const struct feed *feed) { return feed->window.last_step; }
const struct dataset_info *feed_dataset(const struct feed *feed) { return feed->window.dataset; }
const char *feed_endpoint(const struct feed *feed) { return feed->endpoint; }

static enum status no_workers(const struct feed *f) {
  const char *role = has_role(f, "decode") ? "augment" : "decode";
  return fail(E_PEER, "no %s worker has been at %s for %.0f s; start one: tandem-%s --connect %s%s", role,
              f->endpoint, f->options.worker_wait_s, role, f->endpoint,
              strcmp(role, "decode") == 0 ? " --dataset ..." : "");
}

/* Locked. Waits until batch `next` is complete. */
static enum status await_batch(struct feed *f) {
  const struct batch *b = &f->window.batches[f->window.next % f->window.size];
  while (b->done < b->n_shards) {
    if (f->failure != OK) return fail(f->failure, "%s", f->failure_text);
    if (stop_requested())
      return fail(E_INTERRUPTED, "interrupted while waiting for step %" PRId64, b->view.step);
    if ((double)(clock_ms() - f->roles_seen_ms) > f->options.worker_wait_s * 1000) return no_workers(f);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&f->changed, &f->lock, &until);
  }
  return f->failure == OK ? OK : fail(f->failure, "%s", f->failure_text);
}

enum status feed_next(struct feed *f, const struct feed_batch **batch) {
  *batch = NULL;
  if (f->taken) return fail(E_ARG, "feed_next before feed_release");
  pthread_mutex_lock(&f->lock);
  enum status st =
      f->window.next < f->window.last_step ? await_batch(f) : fail(E_NOT_FOUND, "no step after the last");
  if (st == OK) {
    f->taken = true;
    *batch = &f->window.batches[f->window.next % f->window.size].view;
  }
  pthread_mutex_unlock(&f->lock);
  return st;
}

enum status feed_release(struct feed *f) {
  if (!f->taken) return fail(E_ARG, "feed_release without feed_next");
  pthread_mutex_lock(&f->lock);
  struct ledger_line line = window_line(&f->window);
  enum status st = window_advance(&f->window);
  f->taken = false;
  pthread_mutex_unlock(&f->lock);
  wake(f);
  return st == OK && f->ledger ? ledger_append(f->ledger, &line) : st;
}

struct feed_counters feed_count(struct feed *f) {
  pthread_mutex_lock(&f->lock);
  struct feed_counters c = f->count;
  c.dropped = drops_total(&f->server.drops);
  pthread_mutex_unlock(&f->lock);
  return c;
}

json_t *feed_worker_report(struct feed *f) {
  json_t *list = json_array();
  pthread_mutex_lock(&f->lock);
  for (size_t i = 0; list && i < f->server.n; i++) {
    const struct session *s = f->server.sessions[i];
    json_t *o = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:f, s:f}", "role", s->role, "worker", s->worker,
                          "silent", (int)s->silent, "shards", (json_int_t)s->count.shards, "images",
                          (json_int_t)s->count.images, "bytes", (json_int_t)s->count.bytes, "busy_s",
                          (double)s->count.busy_ms / 1000, "wait_s", (double)s->count.wait_ms / 1000);
    if (!o || json_array_append_new(list, o) != 0) {
      json_decref(list);
      list = NULL;
    }
  }
  pthread_mutex_unlock(&f->lock);
  return list;
}
