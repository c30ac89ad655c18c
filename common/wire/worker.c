/* Two loops share this file: decode (tickets in, results held until an augment worker has credit) and augment
 * (decoded shards in from every decode worker, results straight to the consumer). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "wire/endpoint.h"
#include "wire/worker_impl.h"

enum { POLL_MS = 100, ALIVE_MS = 2 };

/* Whether a shard belongs to the run that the consumer is in now. */
static bool current(const struct worker *w, const struct message *m) {
  return w->consumer.state == LINK_OPEN && m->incarnation == w->consumer.incarnation &&
         text_is(m->run, w->consumer.run);
}

/* --- What arrives --------------------------------------------------------------------------------------- */

static void remove_sent(struct worker *w, int i) {
  slot_free(&w->sent[i].slot);
  w->sent[i] = w->sent[--w->unacked];
}

static void forget_sent(struct worker *w) {
  while (w->unacked) remove_sent(w, w->unacked - 1);
}

static void on_ack(struct worker *w, const struct message *m) {
  for (int i = w->unacked; i-- > 0;)
    if (w->sent[i].step == m->step && w->sent[i].shard == m->shard && w->sent[i].attempt == m->attempt)
      remove_sent(w, i);
}

/* A run began, ended or was lost: what is in hand belongs to nobody now. A decode worker that is already in
 * the next run hears of it, or what it sent too early would be missed until its lease is over. */
static void forget(struct worker *w) {
  for (int i = 0; i < w->decoders.n; i++) link_restart(&w->decoders.at[i]->link, "another run");
  work_queue_clear(&w->inputs);
  work_queue_clear(&w->results);
  work_queue_clear(&w->lent);
  forget_sent(w);
  slots_trim(&w->slots);
}

/* Of this run and still in hand; NULL: not here. */
static struct work *in_hand(struct worker *w, zmq_msg_t *body) {
  if (w->now && current(w, w->now->input) && work_has(w->now, body)) return w->now;
  struct work *work = work_find(&w->inputs, body);
  return work ? work : work_find(&w->results, body);
}

static void on_ticket(struct worker *w, struct packet **p) {
  zmq_msg_t *body = &(*p)->frame[FRAME_BODY];
  if (!w->stage->serves || !current(w, &(*p)->head)) return;
  struct work *work = in_hand(w, body);
  if (work) { /* handed out again while it is still here: it goes on as this attempt */
    work->packet->head.attempt = work->output.attempt = (*p)->head.attempt;
    return;
  }
  work = work_open(w, &w->drops, p, 0);
  if (work) work_enqueue(&w->inputs, work);
}

static void follow_decoders(struct worker *w, const struct message *list) {
  const struct upstreams_dial dial = {.context = w->context,
                                      .consumer = w->options->connect,
                                      .keys = w->options->key ? &w->keys : NULL,
                                      .hello = &w->hello,
                                      .drops = &w->drops};
  upstreams_follow(&w->decoders, &dial, list);
}

static enum status pump_consumer(struct worker *w) {
  for (;;) {
    struct packet *p = NULL;
    enum status st = link_receive(&w->consumer, &p);
    if (st != OK) return st == E_AGAIN ? OK : st;
    switch (p->head.kind) {
    case MESSAGE_WELCOME:
      log_info("works for run '%s' at %s", w->consumer.run, w->consumer.endpoint);
      forget(w);
      break;
    case MESSAGE_BYE:
      log_info("%s: %.*s", w->consumer.endpoint, TEXT_ARG(p->head.reason));
      forget(w);
      break;
    case MESSAGE_DECODERS:
      if (!w->stage->serves) follow_decoders(w, &p->head);
      break;
    case MESSAGE_ALLOWED:
      if (w->server.guard && guard_allow(w->server.guard, &p->head.keys) != OK)
        log_warn("%s", fail_message());
      break;
    case MESSAGE_TICKET: on_ticket(w, &p); break;
    case MESSAGE_ACK: on_ack(w, &p->head); break;
    default: drop_note(&w->drops, DROP_UNEXPECTED, message_kind_name(p->head.kind));
    }
    packet_free(&p);
  }
}

static enum status pump_decoder(struct worker *w, struct upstream *u) {
  for (;;) {
    struct packet *p = NULL;
    enum status st = link_receive(&u->link, &p);
    if (st != OK) return st == E_AGAIN ? OK : st;
    if (p->head.kind == MESSAGE_DECODED) {
      struct work *work = current(w, &p->head) ? work_open(w, &w->drops, &p, u->number) : NULL;
      if (work) work_enqueue(&w->inputs, work);
    }
    packet_free(&p);
  }
}

/* --- The loop ------------------------------------------------------------------------------------------- */

static void tick(struct worker *w) {
  int64_t now = clock_ms();
  w->count.busy_ms = (uint64_t)(w->busy_ns / 1000000);
  w->count.wait_ms = (uint64_t)((clock_ns() - w->began_ns - w->busy_ns) / 1000000);
  w->count.errors[ERROR_DROPPED] = drops_total(&w->drops) + drops_total(&w->server.drops);
  if (link_tick(&w->consumer, now, &w->count)) {
    w->count.errors[ERROR_LOST]++;
    forget(w);
  }
  if (w->stage->serves) server_tick(&w->server, now);
  for (int i = 0; i < w->decoders.n; i++)
    w->count.errors[ERROR_LOST] += link_tick(&w->decoders.at[i]->link, now, &w->count);
  /* An acknowledgement that does not come must not stop the worker for good. */
  if (now - w->sent_at_ms > w->consumer.silence_ms) forget_sent(w);
}

static enum status pump(struct worker *w) {
  enum status st = pump_consumer(w);
  if (st == OK && w->stage->serves) st = server_pump(&w->server);
  for (int i = 0; st == OK && i < w->decoders.n; i++) st = pump_decoder(w, w->decoders.at[i]);
  if (st != OK) return st;
  tick(w);
  worker_deliver(w);
  worker_grant(w);
  return OK;
}

void work_alive(struct work *work) {
  struct worker *w = work->worker;
  int64_t now = clock_ms();
  if (!w || now < w->alive_at_ms) return;
  w->alive_at_ms = now + ALIVE_MS;
  if (pump(w) != OK) log_warn("%s", fail_message());
}

/* Whether somebody would read the next result in this process's memory. */
static bool has_readers(const struct worker *w) {
  if (!w->stage->serves) return w->consumer.shares;
  for (size_t i = 0; i < w->server.n; i++)
    if (w->server.sessions[i]->shares && !w->server.sessions[i]->silent) return true;
  return false;
}

static enum status work_one(struct worker *w) {
  struct work *work = work_pop(&w->inputs);
  worker_envelope(&work->output, w->stage->serves ? MESSAGE_DECODED : MESSAGE_AUGMENTED, work->input);
  work->slots = has_readers(w) ? &w->slots : NULL;
  int64_t start = clock_ns();
  w->now = work;
  enum status st = w->stage->work(w->state, work);
  w->now = NULL;
  w->busy_ns += clock_ns() - start;
  if (!payload_intact(
          &work->packet->pixels)) { /* this worker was taken for dead and the shard given to another */
    drop_note(&w->drops, DROP_STALE, "a shard's shared memory was used again while it was read");
    work_free(work);
    return OK;
  }
  if (st == OK) {
    w->count.shards++;
    w->count.images += work->ticket.ids.count;
    w->count.bytes_in += work->pixels_size + work->bytes_read;
    w->count.bytes_out += work_bytes(work);
  } else if (st == E_MEMORY || st == E_IO) {
    work_free(work);
    return st;
  } else {
    worker_send_failed(w, work, st);
  }
  bool wanted = st == OK && current(w, work->input);
  if (wanted && w->stage->serves) {
    work->held = work_bytes(work);
    work_enqueue(&w->results, work);
    return OK;
  }
  /* Not before the result has left: until then the decode worker can give the shard to another. */
  if (wanted) worker_send_augmented(w, work);
  if (!w->stage->serves) worker_release_input(w, work);
  work_free(work);
  return OK;
}

static enum status wait_for_messages(struct worker *w, int64_t timeout_ms) {
  zmq_pollitem_t items[2 + UPSTREAMS_MAX];
  int n = 0;
  n += link_poll(&w->consumer, &items[n]);
  if (w->stage->serves) items[n++] = (zmq_pollitem_t){.socket = w->server.socket, .events = ZMQ_POLLIN};
  for (int i = 0; i < w->decoders.n; i++) n += link_poll(&w->decoders.at[i]->link, &items[n]);
  if (zmq_poll(items, n, timeout_ms) >= 0 || errno == EINTR) return OK;
  return fail(E_IO, "cannot wait for messages: %s", zmq_strerror(errno));
}

/* Counts from the end of the last session, so that a worker follows a run from stage to stage. */
static enum status check_patience(struct worker *w) {
  int64_t now = clock_ms();
  if (w->consumer.state == LINK_OPEN) w->admitted_ms = now;
  double limit_s = w->options->connect_wait_s;
  if (limit_s <= 0 || (double)(now - w->admitted_ms) <= limit_s * 1000) return OK;
  return fail(E_PEER, "no consumer at %s has let this worker in for %g s%s%s", w->options->connect, limit_s,
              w->consumer.refusal[0] ? "; the last one said: " : "", w->consumer.refusal);
}

static enum status loop(struct worker *w) {
  enum status st = OK;
  while (st == OK && !stop_requested()) {
    st = pump(w);
    if (st == OK) st = check_patience(w);
    if (st != OK) break;
    bool ready =
        w->inputs.n && (w->stage->serves ? w->results.n < DECODE_AHEAD : w->unacked < AUGMENT_UNACKED);
    if (ready)
      st = work_one(w);
    else
      st = wait_for_messages(w, POLL_MS);
  }
  return st;
}

/* --- Opening and closing -------------------------------------------------------------------------------- */

static const char *admit(void *owner, const struct message *hello) {
  struct worker *w = owner;
  if (!text_is(hello->role, "augment")) return "a decode worker serves augment workers only";
  if (!text_equal(hello->build, w->hello.build) || !text_equal(hello->check, w->hello.check))
    return "the builds differ";
  return NULL;
}

static void welcome(void *owner, struct message *m) {
  struct worker *w = owner;
  m->run = text_of("");
  m->dataset = text_of("");
  m->incarnation = w->incarnation;
  slots_greet(&w->slots, m);
}

static void joined(void *owner, struct session *session) { (void)owner, (void)session; }

static void take_back(struct worker *w, struct work *work) {
  if (!work_is_done(work)) work->held = work->input->bytes;
  work_push(work_is_done(work) ? &w->results : &w->inputs, work);
}

/* An augment worker left: others get what it held, made again if it is not here any more. What is lost with one that
 * died or fell silent is the consumer's to give out again: it counts how often a shard is lost. */
static void left(void *owner, struct session *session, bool lost) {
  struct worker *w = owner;
  for (struct work *work; (work = work_take(&w->lent, session->number));) {
    if (lost || work->settled)
      work_free(work);
    else
      take_back(w, work);
  }
}

static void on_served(void *owner, struct session *session, struct packet **packet) {
  struct worker *w = owner;
  const struct message *m = &(*packet)->head;
  if (m->kind == MESSAGE_ACK && m->incarnation == w->consumer.incarnation)
    work_drop(&w->lent, session->number, m->step, m->shard);
  if ((*packet)->head.kind != MESSAGE_ACK)
    drop_note(&w->server.drops, DROP_UNEXPECTED, message_kind_name((*packet)->head.kind));
}

static enum status open_server(struct worker *w) {
  enum status st = serving_open(&w->serving, w->context, w->options, w->options->key ? &w->keys : NULL);
  if (st != OK) return st;
  server_open(&w->server, w->serving.listening.socket, "decode socket",
              (struct server_hooks){w, admit, welcome, joined, left, on_served});
  w->serving.listening.socket = NULL; /* the server's now */
  if (w->serving.listening.has_keys) w->server.guard = w->serving.listening.guard;
  return OK;
}

/* A greeting that cannot be written would never leave. */
static enum status check_hello(const struct worker *w) {
  uint8_t *bytes = NULL;
  size_t size;
  enum status st = message_encode(&w->hello, &bytes, &size);
  free(bytes);
  return st == OK ? OK : fail_within(st, "--serve, host name or datasets cannot be told to the consumer");
}

static enum status worker_open(struct worker *w) {
  if (w->options->memory < 1 || w->options->memory > 1 << 24)
    return fail(E_ARG, "--memory must be from 1 to %d MiB", 1 << 24);
  char host[64] = "";
  if (gethostname(host, sizeof host - 1) != 0) snprintf(host, sizeof host, "unknown");
  uint64_t random[2] = {0};
  if (getrandom(random, sizeof random, 0) != sizeof random)
    return fail(E_IO, "no random numbers: %s", strerror(errno));
  w->incarnation = random[0] >> 11;
  snprintf(w->name, sizeof w->name, "%s:%ld:%08x", host, (long)getpid(), (unsigned)random[1]);
  w->began_ns = clock_ns();
  w->drops.where = "worker";
  w->admitted_ms = clock_ms();
  endpoint_machine(w->machine);
  const char *key = w->options->key;
  enum status st = key ? keys_read(&w->keys, key) : OK;
  if (st == OK) st = listen_context(&w->context, key != NULL);
  if (st == OK) st = self_test(w->check);
  if (st == OK && w->stage->serves) st = open_server(w);
  w->hello = (struct message){.kind = MESSAGE_HELLO,
                              .role = text_of(w->stage->role),
                              .worker = text_of(w->name),
                              .build = text_of(TANDEM_VERSION),
                              .check = text_of(w->check),
                              .host = text_of(w->machine),
                              .serve = {w->serving.endpoints, (uint32_t)w->serving.listening.n},
                              .key = text_of(w->serving.key),
                              .datasets = w->options->datasets};
  slots_open(&w->slots, w->options->shared_memory ? SLOTS_BYTES_MAX : 0);
  w->decoders.reads_memory = w->options->shared_memory;
  if (!w->stage->serves)
    slots_greet(&w->slots, &w->hello); /* a decode worker has pixels for augment workers only */
  if (st == OK) st = check_hello(w);
  if (st == OK)
    st = link_open(&w->consumer, w->context, w->options->connect, FRAME_MAX, &w->hello, &w->drops,
                   key ? &w->keys : NULL);
  return st;
}

static void worker_close(struct worker *w) {
  forget(w);
  upstreams_close(&w->decoders);
  link_close(&w->consumer, "leaving");
  server_close(&w->server, "leaving");
  slots_close(&w->slots);
  serving_close(&w->serving);
  explicit_bzero(&w->keys, sizeof w->keys);
  listen_context_close(&w->context);
}

enum status worker_run(const struct stage *stage, void *state, const struct worker_options *options) {
  struct worker *w = calloc(1, sizeof *w);
  if (!w) return fail(E_MEMORY, "out of memory");
  w->stage = stage;
  w->state = state;
  w->options = options;
  enum status st = worker_open(w);
  if (st == OK) {
    log_info("%s worker %s dials %s; asks for shards while it holds less than %lld MiB of pixels",
             stage->role, w->name, options->connect, (long long)options->memory);
    st = loop(w);
  }
  worker_close(w);
  free(w);
  return st;
}
