#include "wire/link.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { GREET_AGAIN_MS = 1000, REFUSED_MS = 2000 };

static enum status dial(struct link *link) {
  socket_close(&link->socket);
  enum status st = socket_open(&link->socket, link->context, ZMQ_DEALER, link->max_frame);
  return st == OK ? socket_connect(link->socket, link->endpoint) : st;
}

static void start_over(struct link *link, enum link_state state, int64_t at_ms) {
  link->state = state;
  link->hello_at_ms = at_ms;
  link->greeted = false;
  link->granted = link->received = 0;
  slot_reader_close(&link->reader);
  link->shares = false;
}

enum status link_open(struct link *link, void *context, const char *endpoint, int64_t max_frame,
                      const struct message *hello, struct drops *drops) {
  *link = (struct link){.context = context, .max_frame = max_frame, .hello = hello, .drops = drops};
  int n = snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
  if (n >= (int)sizeof link->endpoint) return fail(E_ARG, "the endpoint is too long: %.80s...", endpoint);
  return dial(link);
}

static void say_bye(struct link *link, const char *reason) {
  struct message bye = {.kind = MESSAGE_BYE, .reason = text_of(reason)};
  if (link->socket && link->state == LINK_OPEN) packet_send(link->socket, NULL, &bye, NULL, 0);
}

void link_close(struct link *link, const char *reason) {
  say_bye(link, reason);
  slot_reader_close(&link->reader);
  socket_close(&link->socket);
}

void link_restart(struct link *link, const char *reason) {
  if (link->state != LINK_OPEN) return;
  say_bye(link, reason);
  start_over(link, LINK_HELLO, 0);
}

static void on_refuse(struct link *link, const struct message *m, int64_t now) {
  char reason[sizeof link->refusal];
  text_copy(m->reason, reason, sizeof reason);
  if (strcmp(reason, link->refusal) != 0) {
    memcpy(link->refusal, reason, sizeof reason);
    log_warn("%s refuses this worker: %s; trying again every %d s", link->endpoint, reason,
             REFUSED_MS / 1000);
  }
  start_over(link, LINK_REFUSED, now + REFUSED_MS);
}

/* False: an answer to an earlier greeting of the session that is already open. */
static bool on_welcome(struct link *link, const struct message *m) {
  if (link->state == LINK_OPEN && m->incarnation == link->incarnation) return false;
  start_over(link, LINK_OPEN, 0);
  link->refusal[0] = '\0';
  link->beat_ms = m->beat_ms ? (int64_t)m->beat_ms : 1;
  link->silence_ms = (int64_t)m->silence_ms;
  link->incarnation = m->incarnation;
  text_copy(m->run, link->run, sizeof link->run);
  link->shares = m->shared;
  if (link->reads_memory && slot_reader_open(&link->reader, m) != OK)
    log_debug("%s: %s", link->endpoint, fail_message());
  return true;
}

static bool find_pixels(struct link *link, struct packet *p) {
  enum status st = packet_map(p, &link->reader, link->drops);
  if (st == E_IO || st == E_MEMORY) {
    log_warn("%s: %s; payloads go through sockets from now on", link->endpoint, fail_message());
    link->reads_memory = false;
    link_restart(link, "its memory cannot be read any more");
  }
  return st == OK;
}

/* Whether the message is for the owner. */
static bool pass(struct link *link, struct packet *p, int64_t now) {
  switch (p->head.kind) {
  case MESSAGE_BEAT: return false;
  case MESSAGE_REFUSE: on_refuse(link, &p->head, now); return false;
  case MESSAGE_WELCOME: return on_welcome(link, &p->head);
  case MESSAGE_BYE:
    if (link->state != LINK_OPEN) return false;
    start_over(link, LINK_HELLO, now);
    return true;
  case MESSAGE_TICKET:
  case MESSAGE_DECODED:
    if (link->state != LINK_OPEN) return false;
    link->received++;
    return find_pixels(link, p);
  case MESSAGE_DECODERS:
  case MESSAGE_ACK: return link->state == LINK_OPEN;
  default: drop_note(link->drops, DROP_UNEXPECTED, message_kind_name(p->head.kind)); return false;
  }
}

enum status link_receive(struct link *link, struct packet **out) {
  for (int i = 0; i < 64; i++) {
    bool version_ok = true;
    enum status st = packet_receive(link->socket, false, link->drops, out, &version_ok);
    if (st != OK) return st;
    int64_t now = clock_ms();
    link->heard_ms = now;
    if (version_ok && pass(link, *out, now)) return OK;
    if (!version_ok && (*out)->head.kind == MESSAGE_REFUSE) {
      struct message m = {.reason = text_of(fail_message())};
      on_refuse(link, &m, now);
    } else if (!version_ok) {
      drop_note(link->drops, DROP_VERSION, fail_message());
    }
    packet_free(out);
  }
  return E_AGAIN;
}

bool link_tick(struct link *link, int64_t now_ms, const struct counters *count) {
  if (link->state == LINK_OPEN) {
    if (now_ms - link->heard_ms > link->silence_ms) {
      log_warn("%s has been silent for %.1f s; dialling again", link->endpoint,
               (double)(now_ms - link->heard_ms) / 1000);
      start_over(link, LINK_HELLO, now_ms);
      if (dial(link) != OK) log_warn("%s", fail_message());
      return true;
    }
    if (now_ms >= link->beat_at_ms) {
      struct message beat = {.kind = MESSAGE_BEAT, .count = *count};
      packet_send(link->socket, NULL, &beat, NULL, 0);
      link->beat_at_ms = now_ms + link->beat_ms;
    }
    return false;
  }
  if (now_ms < link->hello_at_ms) return false;
  if (link->state == LINK_REFUSED) start_over(link, LINK_HELLO, now_ms);
  link->greeted = packet_send(link->socket, NULL, link->hello, NULL, 0) == OK; /* not while nobody listens */
  if (link->greeted) link->hello_at_ms = now_ms + GREET_AGAIN_MS;
  return false;
}

short link_events(const struct link *link) {
  return link->state == LINK_HELLO && !link->greeted ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN;
}

void link_want(struct link *link, uint64_t room) {
  if (link->state != LINK_OPEN || link->received + room <= link->granted) return;
  struct message want = {
      .kind = MESSAGE_WANT, .credits = link->received + room, .shared = link->reader.pid != 0};
  if (packet_send(link->socket, NULL, &want, NULL, 0) == OK) link->granted = want.credits;
}

enum status link_send(struct link *link, const struct message *head, zmq_msg_t *frames, int n) {
  if (link->state == LINK_OPEN) return packet_send(link->socket, NULL, head, frames, n);
  for (int i = 0; i < n; i++) zmq_msg_close(&frames[i]);
  return E_AGAIN;
}
