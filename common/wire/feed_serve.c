/* Serving the workers: who is there, what they say, what came back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "wire/feed_impl.h"

enum { IDLE_MS = 50 };

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
  if (!hello->serve.count) return "it names no endpoint where its shards can be fetched";
  for (uint32_t i = 0; i < hello->serve.count; i++)
    if (hello->serve.at[i].size < 7 ||
        (memcmp(hello->serve.at[i].at, "ipc://", 6) != 0 && memcmp(hello->serve.at[i].at, "tcp://", 6) != 0))
      return "it names an endpoint that is neither ipc nor tcp";
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

static void joined(void *owner, struct session *session) {
  struct feed *f = owner;
  log_info("%s worker %s joined", session->role, session->worker);
  memcpy(f->names[session->number % SESSIONS_MAX], session->worker, sizeof session->worker);
  f->decoders_changed = true;
}

static void left(void *owner, struct session *session, bool lost) {
  struct feed *f = owner;
  if (strcmp(session->role, "decode") == 0) f->decoders_changed = true;
  feed_lose(f, session, lost);
}

static bool is_ours(const struct feed *f, const struct message *m) {
  return m->incarnation == f->incarnation && text_is(m->run, f->run);
}

static void on_first(struct feed *f, const struct arrival *a, uint64_t attempt) {
  const struct batch *b = window_batch(&f->window, (int64_t)a->step);
  f->count.shards++;
  feed_came_back(f, &b->shards[a->shard], attempt, clock_ms());
  if (b->done == b->n_shards) pthread_cond_broadcast(&f->changed);
}

static void stop_for_difference(struct feed *f, const struct arrival *a, const struct session *second,
                                zmq_msg_t *body) {
  fail(E_PEER,
       "step %" PRIu64 ", shard %" PRIu64
       " came back twice with different bytes, first from worker %s, then from "
       "%s: the result depends on the machine or on chance",
       a->step, a->shard, f->names[a->made_by % SESSIONS_MAX], second->worker);
  feed_stop_for_shard(f, a->step, a->shard, zmq_msg_data(body), zmq_msg_size(body));
}

static void on_augmented(struct feed *f, struct session *session, struct packet *p) {
  struct arrival a;
  switch (window_accept(&f->window, p, session->number, &a)) {
  case ACCEPTED_NEW: on_first(f, &a, p->head.attempt); break;
  case ACCEPTED_SAME: f->count.duplicates++; break;
  case ACCEPTED_LOST: drop_note(&f->server.drops, DROP_STALE, fail_message()); return;
  case ACCEPTED_OLD: drop_note(&f->server.drops, DROP_STALE, "a shard of a step long past"); break;
  case ACCEPTED_NOT: drop_note(&f->server.drops, DROP_MALFORMED, fail_message()); return;
  case ACCEPTED_DIFFERENT: stop_for_difference(f, &a, session, &p->frame[FRAME_BODY]);
  }
  struct message ack = feed_envelope(f, MESSAGE_ACK, p->head.attempt);
  ack.step = a.step;
  ack.shard = a.shard;
  server_send(&f->server, session, &ack, NULL, 0, 0);
}

static void on_message(void *owner, struct session *session, struct packet **packet) {
  struct feed *f = owner;
  struct packet *p = *packet;
  bool augmented = p->head.kind == MESSAGE_AUGMENTED && strcmp(session->role, "augment") == 0;
  bool passed = p->head.kind == MESSAGE_PASSED && strcmp(session->role, "decode") == 0;
  if (!augmented && !passed && p->head.kind != MESSAGE_FAILED)
    drop_note(&f->server.drops, DROP_UNEXPECTED, message_kind_name(p->head.kind));
  else if (!is_ours(f, &p->head))
    drop_note(&f->server.drops, DROP_STALE, "of another run or incarnation");
  else if (augmented)
    on_augmented(f, session, p);
  else if (passed)
    feed_passed(f, session, &p->head);
  else
    feed_failed(f, session, &p->head);
}

/* --- The serving thread --------------------------------------------------------------------------------- */

bool feed_has_role(const struct feed *f, const char *role) {
  for (size_t i = 0; i < f->server.n; i++)
    if (!f->server.sessions[i]->silent && strcmp(f->server.sessions[i]->role, role) == 0) return true;
  return false;
}

/* Returns for how many ms there is nothing to do unless a message comes. */
static int64_t serve_once(struct feed *f) {
  enum status st = server_pump(&f->server);
  if (st != OK) feed_stop_run(f, st);
  int64_t now = clock_ms();
  server_tick(&f->server, now);
  feed_end_leases(f, now);
  feed_roster_spread(f);
  if (feed_has_role(f, "decode") && feed_has_role(f, "augment")) f->roles_seen_ms = now;
  if (f->failure != OK) return IDLE_MS;
  int64_t idle = feed_hedge(f, now);
  feed_hand_out(f);
  return idle < IDLE_MS ? idle : IDLE_MS;
}

void *feed_serve(void *arg) {
  struct feed *f = arg;
  pthread_mutex_lock(&f->lock);
  while (!f->closing) {
    int64_t idle = serve_once(f);
    pthread_mutex_unlock(&f->lock);
    zmq_pollitem_t items[] = {{.socket = f->server.socket, .events = ZMQ_POLLIN},
                              {.fd = f->wake, .events = ZMQ_POLLIN}};
    zmq_poll(items, 2, (long)idle);
    uint64_t n;
    if (items[1].revents && read(f->wake, &n, sizeof n) < 0) log_debug("eventfd: %s", strerror(errno));
    pthread_mutex_lock(&f->lock);
  }
  server_close(&f->server, "the run is over");
  pthread_mutex_unlock(&f->lock);
  return NULL;
}

void feed_serve_open(struct feed *f) {
  server_open(&f->server, f->listening.socket, "consumer socket",
              (struct server_hooks){f, admit, welcome, joined, left, on_message});
  f->server.reads_memory = f->options.shared_memory;
  f->listening.socket = NULL; /* the server's now */
  if (f->listening.has_keys) f->server.guard = f->listening.guard;
}
