/* Which worker gets which shard: handing out, leases, second tickets for shards that are late, and what is
 * lost with a worker (docs/messages.md, "A shard, seen by the consumer"). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/feed_impl.h"

void feed_stop_run(struct feed *f, enum status status) {
  if (f->failure != OK) return;
  f->failure = status;
  snprintf(f->failure_text, sizeof f->failure_text, "%s", fail_message());
  pthread_cond_broadcast(&f->changed);
}

/* --- Who may take a shard ------------------------------------------------------------------------------- */

/* Whether it said that it could not make the shard, or delivered the pixels of which another could not. */
static bool has_failed(const struct shard *s, const struct session *session) {
  for (int i = 0; i < s->failures; i++)
    if (strcmp(s->failed[i].on, session->worker) == 0 || strcmp(s->failed[i].from, session->worker) == 0)
      return true;
  return false;
}

/* For server_with_credit: `arg` is the shard. */
static bool not_for(const void *arg, const struct session *session) {
  const struct shard *s = arg;
  bool has_it = s->lease[0].holder == session->number && !s->lease[0].at;
  return has_it || has_failed(s, session);
}

/* A worker that has not failed on this shard; if all have, or those that have not take nothing for a lease, any. */
static struct session *pick_worker(struct feed *f, const struct shard *s) {
  struct session *session = server_with_credit(&f->server, "decode", not_for, s);
  if (session || !s->failures || s->state == SHARD_LEASED) return session;
  for (size_t i = 0; clock_ms() < s->prefer_until_ms && i < f->server.n; i++) {
    const struct session *other = f->server.sessions[i];
    if (strcmp(other->role, "decode") == 0 && !other->silent && !has_failed(s, other))
      return NULL; /* wait for it */
  }
  return server_with_credit(&f->server, "decode", NULL, NULL);
}

/* The augment workers that have it or have failed on it. Names are borrowed from sessions and shard. */
static uint32_t list_avoided(const struct feed *f, const struct shard *s, struct text names[AVOID_MAX]) {
  uint32_t n = 0;
  for (int i = 0; i < s->failures; i++) names[n++] = text_of(s->failed[i].on);
  for (int i = 0; i < 2; i++) {
    const struct session *at = s->lease[i].at ? server_session(&f->server, s->lease[i].at) : NULL;
    if (at) names[n++] = text_of(at->worker);
  }
  return n;
}

/* --- Handing out ---------------------------------------------------------------------------------------- */

struct message feed_envelope(const struct feed *f, enum message_kind kind, uint64_t attempt) {
  return (struct message){
      .kind = kind, .run = text_of(f->run), .incarnation = f->incarnation, .attempt = attempt};
}

static enum status send_ticket(struct feed *f, struct session *to, const struct shard *s, int64_t lease_ms) {
  struct text avoid[AVOID_MAX];
  struct message m = feed_envelope(f, MESSAGE_TICKET, s->attempt + 1);
  m.lease_ms = (uint64_t)lease_ms;
  m.bytes = (uint64_t)s->cost;
  m.avoid = (struct texts){avoid, list_avoided(f, s, avoid)};
  zmq_msg_t body;
  if (zmq_msg_init_size(&body, s->body_size) != 0) return fail(E_MEMORY, "out of memory for a ticket");
  memcpy(zmq_msg_data(&body), s->body, s->body_size);
  return server_send(&f->server, to, &m, &body, 1, m.bytes);
}

/* A waiting shard, or a leased one once more. False: nobody can take it now. */
static bool hand_out(struct feed *f, struct shard *s) {
  for (;;) {
    struct session *session = pick_worker(f, s);
    if (!session) return false;
    uint64_t holder = session->number;
    int64_t lease_ms = pace_lease_ms(&f->pace, s->cost, s->attempt + 1);
    enum status st = send_ticket(f, session, s, lease_ms);
    if (st == E_NOT_FOUND) continue; /* and its other shards are waiting again */
    if (st != OK) return false;
    f->count.reissued += s->attempt > 0;
    s->attempt++;
    int64_t now = clock_ms();
    s->lease[s->state == SHARD_LEASED] = (struct lease){holder, 0, s->attempt, now, now + lease_ms};
    s->state = SHARD_LEASED;
    return true;
  }
}

/* Lost with two workers already: it may be what ends them. */
static bool is_suspect(const struct shard *s) { return s->losses >= 2; }

static bool suspect_is_out(struct feed *f) {
  for (struct cursor c = window_begin(&f->window); window_each(&f->window, &c);)
    if (c.at->state == SHARD_LEASED && is_suspect(c.at)) return true;
  return false;
}

void feed_hand_out(struct feed *f) {
  bool suspect_out = suspect_is_out(f);
  for (struct cursor c = window_begin(&f->window); window_each(&f->window, &c);) {
    struct shard *s = c.at;
    if (s->state != SHARD_WAITING || (is_suspect(s) && suspect_out)) continue;
    bool out = hand_out(f, s);
    suspect_out |= out && is_suspect(s);
    if (!out && !s->failures) return; /* nobody has room; one that waits for another worker holds up none */
  }
}

/* --- Leases --------------------------------------------------------------------------------------------- */

static void end_lease(struct shard *s, int i) {
  if (i == 0) s->lease[0] = s->lease[1];
  s->lease[1] = (struct lease){0};
  if (!s->lease[0].holder) s->state = SHARD_WAITING;
}

void feed_end_leases(struct feed *f, int64_t now_ms) {
  for (struct cursor c = window_begin(&f->window); window_each(&f->window, &c);)
    for (int i = 1; c.at->state == SHARD_LEASED && i >= 0; i--)
      if (c.at->lease[i].holder && now_ms >= c.at->lease[i].deadline_ms) {
        log_debug("step %" PRId64 ", shard %" PRId64 ": attempt %" PRIu64 " is over", c.step, c.shard,
                  c.at->lease[i].attempt);
        end_lease(c.at, i);
      }
}

/* --- Hedging -------------------------------------------------------------------------------------------- */

/* Whether an augment worker is there that does not have the shard. */
static bool another_augment(const struct feed *f, const struct shard *s) {
  for (size_t i = 0; i < f->server.n; i++) {
    const struct session *a = f->server.sessions[i];
    if (strcmp(a->role, "augment") == 0 && !a->silent && a->number != s->lease[0].at && !has_failed(s, a))
      return true;
  }
  return false;
}

int64_t feed_hedge(struct feed *f, int64_t now_ms) {
  int64_t next_ms = INT64_MAX, oldest = -1;
  for (struct cursor c = window_begin(&f->window); window_each(&f->window, &c);) {
    struct shard *s = c.at;
    if (oldest < 0 && s->state != SHARD_DONE) oldest = c.step;
    if (oldest >= 0 && c.step > oldest) break; /* nobody waits for it yet */
    if (s->state != SHARD_LEASED || s->lease[1].holder || is_suspect(s)) continue;
    int64_t after = pace_hedge_ms(&f->pace, s->cost);
    int64_t left = after == INT64_MAX ? INT64_MAX : s->lease[0].sent_ms + after - now_ms;
    if (left > 0) {
      if (left < next_ms) next_ms = left;
      continue;
    }
    if (f->hedge_credit < HEDGE_SHARE) return next_ms;
    if ((s->lease[0].at && !another_augment(f, s)) || !hand_out(f, s)) continue;
    log_debug("step %" PRId64 ", shard %" PRId64 " is late: attempt %" PRIu64, c.step, c.shard, s->attempt);
    f->count.hedged++;
    f->hedge_credit -= HEDGE_SHARE;
  }
  return next_ms;
}

void feed_came_back(struct feed *f, struct shard *s, uint64_t attempt, int64_t now_ms) {
  for (int i = 0; i < 2; i++)
    if (s->lease[i].holder && s->lease[i].attempt == attempt)
      pace_note(&f->pace, now_ms - s->lease[i].sent_ms, s->cost);
  memset(s->lease, 0, sizeof s->lease);
  if (f->hedge_credit < HEDGE_SHARE * HEDGE_BURST) f->hedge_credit++;
}

/* --- Where shards are, and what is lost with a worker ------------------------------------------------------ */

static struct shard *find_leased(struct feed *f, const struct message *m) {
  struct shard *s = window_shard(&f->window, (int64_t)m->step, (int64_t)m->shard);
  return s && s->state == SHARD_LEASED ? s : NULL;
}

void feed_passed(struct feed *f, const struct session *from, const struct message *m) {
  struct shard *s = find_leased(f, m);
  const struct session *to = server_worker(&f->server, m->worker);
  for (int i = 0; s && to && i < 2; i++)
    if (s->lease[i].holder == from->number && s->lease[i].attempt == m->attempt) s->lease[i].at = to->number;
}

static void list_samples(const struct batch *b, const struct shard *s, char *out, size_t size) {
  size_t used = 0;
  for (int64_t i = s->first; i < s->first + s->n && used < size - 32; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, i > s->first ? ", " : "", b->ids[i]);
  if (used >= size - 32) snprintf(out + used, size - used, ", ...");
}

enum { WHOSE_SIZE = 2 * WORKER_NAME_MAX + 32 };

/* "worker A", or "worker A with pixels from B". */
static const char *whose(const struct failure *failure, char *text, size_t size) {
  bool other = failure->from[0] && strcmp(failure->from, failure->on) != 0;
  snprintf(text, size, "worker %.*s%s%.*s", WORKER_NAME_MAX, failure->on, other ? " with pixels from " : "",
           WORKER_NAME_MAX, other ? failure->from : "");
  return text;
}

static void give_up_failed(struct feed *f, const struct batch *b, const struct shard *s,
                           const struct message *m) {
  char ids[256], who[WHOSE_SIZE];
  list_samples(b, s, ids, sizeof ids);
  fail(E_PEER, "step %" PRIu64 ", shard %" PRIu64 " failed %d times, last on %s (%.*s); its samples: %s",
       m->step, m->shard, FAILURES_MAX, whose(&s->failed[FAILURES_MAX - 1], who, sizeof who),
       TEXT_ARG(m->reason), ids);
  feed_stop_for_shard(f, m->step, m->shard, s->body, s->body_size);
}

static void give_up_lost(struct feed *f, int64_t step, int64_t number, const struct shard *s) {
  char ids[256];
  list_samples(window_batch(&f->window, step), s, ids, sizeof ids);
  fail(E_PEER,
       "step %" PRId64 ", shard %" PRId64
       ": %d workers in a row died or fell silent while they had it, last %s; "
       "its samples: %s",
       step, number, LOSSES_MAX, s->lost_with, ids);
  feed_stop_for_shard(f, (uint64_t)step, (uint64_t)number, s->body, s->body_size);
}

/* Ends what `session` holds of the shard; true if it held it. An augment worker that leaves in order gives its
 * shard back to the decode worker it had it from. */
static bool take_from(const struct feed *f, struct shard *s, const struct session *session, bool lost) {
  bool held = false;
  for (int i = 1; i >= 0; i--) {
    struct lease *l = &s->lease[i];
    if (l->at == session->number && l->holder) {
      held = true;
      l->at = 0;
      if (lost || !server_session(&f->server, l->holder)) end_lease(s, i);
    } else if (l->holder == session->number && !l->at) {
      held = true;
      end_lease(s, i);
    }
  }
  return held;
}

void feed_lose(struct feed *f, const struct session *session, bool lost) {
  for (struct cursor c = window_begin(&f->window); window_each(&f->window, &c);) {
    struct shard *s = c.at;
    if (s->state != SHARD_LEASED || !take_from(f, s, session, lost) || !lost) continue;
    snprintf(s->lost_with, sizeof s->lost_with, "%s", session->worker);
    if (++s->losses == LOSSES_MAX) give_up_lost(f, c.step, c.shard, s);
  }
}

void feed_failed(struct feed *f, const struct session *session, const struct message *m) {
  struct shard *s = window_shard(&f->window, (int64_t)m->step, (int64_t)m->shard);
  if (!s || s->state == SHARD_DONE || s->failures == FAILURES_MAX) return;
  struct failure *failure = &s->failed[s->failures++];
  *failure = (struct failure){0};
  snprintf(failure->on, sizeof failure->on, "%s", session->worker);
  for (int i = 1; i >= 0; i--) {
    if (!s->lease[i].holder || s->lease[i].attempt != m->attempt) continue;
    snprintf(failure->from, sizeof failure->from, "%s", f->names[s->lease[i].holder % SESSIONS_MAX]);
    end_lease(s, i);
  }
  char who[WHOSE_SIZE];
  log_warn("step %" PRIu64 ", shard %" PRIu64 " failed on %s: %.*s", m->step, m->shard,
           whose(failure, who, sizeof who), TEXT_ARG(m->reason));
  f->count.failed++;
  s->prefer_until_ms = clock_ms() + pace_lease_ms(&f->pace, s->cost, 1); /* another worker, until then */
  if (s->failures == FAILURES_MAX) give_up_failed(f, window_batch(&f->window, (int64_t)m->step), s, m);
}
