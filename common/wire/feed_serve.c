/* Serving the workers: who is there, which shard is where, what came back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "wire/feed_impl.h"

/* Ends the run; the first reason stays. */
static void stop_run(struct feed *f, enum status status) {
  if (f->failure != OK) return;
  f->failure = status;
  snprintf(f->failure_text, sizeof f->failure_text, "%s", fail_message());
  pthread_cond_broadcast(&f->changed);
}

/* --- Handing out ---------------------------------------------------------------------------------------- */

static bool failed_before(const void *arg, const struct session *session) {
  const struct shard *s = arg;
  for (int i = 0; i < s->failures; i++)
    if (strcmp(s->failed_on[i], session->worker) == 0) return true;
  return false;
}

/* A worker that has not failed on this shard; if all have, or those that have not take nothing for a lease, any. */
static struct session *pick_worker(struct feed *f, const struct shard *s) {
  struct session *session = server_with_credit(&f->server, "decode", failed_before, s);
  if (session || !s->failures) return session;
  for (size_t i = 0; clock_ms() < s->deadline_ms && i < f->server.n; i++) {
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
      if (b->shards[k].state == SHARD_WAITING && !hand_out(f, &b->shards[k]) && !b->shards[k].failures)
        return; /* nobody has room; a shard that waits for another worker holds up none behind it */
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

/* --- What the workers say ------------------------------------------------------------------------------- */

static const char *admit(void *owner, const struct message *hello) {
  struct feed *f = owner;
  const struct dataset_info *info = f->window.dataset;
  if (!text_is(hello->build, TANDEM_VERSION)) {
    snprintf(f->refusal, sizeof f->refusal, "it is build %.*s and the consumer %s; install the same build",
             TEXT_ARG(hello->build), TANDEM_VERSION);
    return f->refusal;
  }
  if (!text_is(hello->check, f->check))
    return "its self-test makes other pixels than the consumer's; install the same libjpeg and build";
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
  /* The list is not sent again by itself: a worker that missed one would miss the decode workers in it. */
  if (server_send(&f->server, to, &m, NULL, 0, false) == E_AGAIN) f->decoders_changed = true;
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
  case ACCEPTED_LOST: drop_note(&f->server.drops, DROP_STALE, fail_message()); return;
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
  s->deadline_ms = clock_ms() + f->options.lease_ms; /* until then another worker is preferred */
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

/* --- The serving thread --------------------------------------------------------------------------------- */

bool feed_has_role(const struct feed *f, const char *role) {
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
  if (feed_has_role(f, "decode") && feed_has_role(f, "augment")) f->roles_seen_ms = now;
  if (f->failure == OK) hand_out_all(f);
}

void *feed_serve(void *arg) {
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

void feed_serve_open(struct feed *f, void *socket) {
  server_open(&f->server, socket, "consumer socket",
              (struct server_hooks){f, admit, welcome, joined, left, on_message});
  f->server.reads_memory = f->options.shared_memory;
}
