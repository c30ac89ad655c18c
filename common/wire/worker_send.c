/* What a worker sends: results, and how much it asks for. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/worker_impl.h"

void worker_envelope(struct message *m, enum message_kind kind, const struct message *input) {
  m->kind = kind;
  m->run = input->run;
  m->incarnation = input->incarnation;
  m->attempt = input->attempt;
  m->lease_ms = input->lease_ms;
}

void worker_send_failed(struct worker *w, const struct work *work, enum status status) {
  w->count.errors[counter_error_of(status)]++;
  struct message m = {
      .step = work->ticket.step, .shard = work->ticket.shard, .reason = text_of(fail_message())};
  worker_envelope(&m, MESSAGE_FAILED, work->input);
  log_warn("step %llu, shard %llu: %s", (unsigned long long)m.step, (unsigned long long)m.shard,
           fail_message());
  link_send(&w->consumer, &m, NULL, 0);
}

static bool is_listed(const struct texts *names, const char *name) {
  for (uint32_t i = 0; i < names->count; i++)
    if (text_is(names->at[i], name)) return true;
  return false;
}

static bool is_avoided(const void *arg, const struct session *s) {
  const struct work *work = arg;
  return is_listed(&work->input->avoid, s->worker);
}

/* An augment worker for this shard: not one of those its ticket avoids, unless there is no other. */
static struct session *taker_of(struct worker *w, const struct work *work) {
  struct session *s = server_with_credit(&w->server, "augment", is_avoided, work);
  if (s || !work->input->avoid.count) return s;
  for (size_t i = 0; i < w->server.n; i++)
    if (!w->server.sessions[i]->silent && !is_avoided(work, w->server.sessions[i])) return NULL;
  return server_with_credit(&w->server, "augment", NULL, NULL);
}

/* Lent in shared memory, a shard stays here until it is acknowledged; sent through the socket, only its ticket does. */
static enum status give(struct worker *w, struct work *work, struct session *to) {
  struct message head, passed = {.step = work->ticket.step, .shard = work->ticket.shard};
  char name[WORKER_NAME_MAX + 1];
  memcpy(name, to->worker, sizeof name);
  uint64_t holder = to->number;
  zmq_msg_t frames[2];
  enum status st = work_result(work, to->shares, &head, frames, 2);
  if (st == OK) st = server_send(&w->server, to, &head, frames, 2, work_bytes(work));
  if (st != OK) return st;
  worker_envelope(&passed, MESSAGE_PASSED, work->input);
  passed.worker = text_of(name);
  link_send(&w->consumer, &passed, NULL, 0);
  work_unlink(&w->results, work);
  if (!head.memory.bytes) work_strip(work);
  work->source = holder;
  work_push(&w->lent, work);
  return OK;
}

void worker_deliver(struct worker *w) {
  for (struct work *work = w->results.head, *next; work; work = next) {
    next = work->next;
    struct session *to = taker_of(w, work);
    if (!to) continue;
    enum status st = give(w, work, to);
    if (st == OK || st == E_AGAIN) continue;
    if (st == E_MEMORY) return;
    if (st == E_NOT_FOUND) {
      next = work; /* it left; perhaps another can take it */
      continue;
    }
    worker_send_failed(w, work, st);
    work_unlink(&w->results, work);
    work_free(work);
  }
}

void worker_release_input(struct worker *w, const struct work *work) {
  struct message m = {.step = work->ticket.step, .shard = work->ticket.shard};
  worker_envelope(&m, MESSAGE_ACK, work->input);
  for (int i = 0; i < w->decoders.n; i++)
    if (w->decoders.at[i]->number == work->source) link_send(&w->decoders.at[i]->link, &m, NULL, 0);
}

void worker_send_augmented(struct worker *w, struct work *work) {
  struct message head;
  zmq_msg_t frames[3];
  enum status st = work_result(work, w->consumer.shares, &head, frames, 3);
  if (st == OK) st = link_send(&w->consumer, &head, frames, 3);
  if (st == OK) {
    bool shared = head.memory.bytes > 0;
    w->sent[w->unacked++] = (struct sent){work->ticket.step, work->ticket.shard, head.attempt,
                                          shared ? work->slot : NULL, work_bytes(work)};
    if (shared) work->slot = NULL;
    w->sent_at_ms = clock_ms();
    return;
  }
  w->count.errors[ERROR_UNSENT]++;
  if (st != E_AGAIN) worker_send_failed(w, work, st); /* otherwise the lease makes up for it */
}

/* Bytes of pixels in hand. What is lent to augment workers counts until they acknowledge it, and so do results until the
 * consumer does: they are in this process, in its shared memory, or in its socket's queue. */
static uint64_t held_bytes(const struct worker *w) {
  uint64_t sum = work_queue_held(&w->inputs) + work_queue_held(&w->results) + work_queue_held(&w->lent);
  if (w->now) sum += w->now->held;
  for (int i = 0; i < w->unacked; i++) sum += w->sent[i].bytes;
  return sum;
}

void worker_grant(struct worker *w) {
  int ahead = w->stage->serves ? DECODE_AHEAD : AUGMENT_AHEAD;
  int held = w->inputs.n + w->results.n + (w->now != NULL);
  uint64_t memory = (uint64_t)w->options->memory << 20, bytes = held_bytes(w);
  if (w->consumer.state != LINK_OPEN || held >= ahead || bytes >= memory) return;
  if (w->stage->serves) {
    link_want(&w->consumer, (uint64_t)(ahead - held), memory - bytes);
  } else if (w->decoders.n == 1) {
    link_want(&w->decoders.at[0]->link, (uint64_t)(ahead - held), memory - bytes);
  } else { /* one from each, renewed only while the backlog is short */
    for (int i = 0; i < w->decoders.n; i++) link_want(&w->decoders.at[i]->link, 1, 1);
  }
}
