#include "wire/link.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/endpoint.h"

enum { GREET_AGAIN_MS = 1000, REFUSED_MS = 2000, NOBODY_MS = 15000, HANDSHAKES_SAID = 3 };

static enum status dial(struct link *link) {
  bool tcp = endpoint_is_tcp(link->endpoint);
  socket_close(&link->socket);
  monitor_close(&link->watch);
  enum status st = OK;
  TRY(socket_open(&link->socket, link->context, ZMQ_DEALER, link->max_frame));
  if (tcp) {
    TRY(monitor_open(&link->watch, link->context));
    TRY(monitor_start(&link->watch, link->socket,
                      ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                          ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL));
  }
  if (tcp && link->has_keys) TRY(socket_keys(link->socket, &link->keys));
  TRY(socket_connect(link->socket, link->endpoint));
  link->dialled_ms = clock_ms();
out:
  return st;
}

static void start_over(struct link *link, enum link_state state, int64_t at_ms) {
  link->state = state;
  link->hello_at_ms = at_ms;
  link->greeted = false;
  link->dialled_ms = clock_ms();
  link->granted = link->received = 0;
  link->granted_bytes = link->received_bytes = 0;
  slot_reader_close(&link->reader);
  link->shares = false;
}

enum status link_open(struct link *link, void *context, const char *endpoint, int64_t max_frame,
                      const struct message *hello, struct drops *drops, const struct keys *keys) {
  *link = (struct link){.context = context, .max_frame = max_frame, .hello = hello, .drops = drops};
  int n = snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
  if (n >= (int)sizeof link->endpoint) return fail(E_ARG, "the endpoint is too long: %.80s...", endpoint);
  if (keys) link->keys = *keys;
  link->has_keys = keys != NULL;
  if (keys && !keys->has_server && endpoint_is_tcp(endpoint))
    return fail(
        E_ARG,
        "the key file has no line 'server', which the other end's key is compared with; make a key for "
        "this worker: scripts/tandem keygen --worker NAME --for KEY");
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
  monitor_close(&link->watch);
  explicit_bzero(&link->keys, sizeof link->keys);
}

void link_restart(struct link *link, const char *reason) {
  if (link->state != LINK_OPEN) return;
  say_bye(link, reason);
  start_over(link, LINK_HELLO, 0);
}

static void on_refuse(struct link *link, struct text why, int64_t now) {
  char reason[sizeof link->refusal];
  text_copy(why, reason, sizeof reason);
  if (strcmp(reason, link->refusal) != 0) {
    memcpy(link->refusal, reason, sizeof reason);
    log_warn("%s refuses this worker: %s; trying again every %d s", link->endpoint, reason,
             REFUSED_MS / 1000);
  }
  start_over(link, LINK_REFUSED, now + REFUSED_MS);
}

/* --- Connections that do not come about ------------------------------------------------------------------ */

/* libzmq gives up dialling after some of these failures, so the link dials anew itself. */
static void dial_later(struct link *link, const char *why, int64_t now) {
  on_refuse(link, text_of(why), now);
  socket_close(&link->socket);
}

static void on_wrong_key(struct link *link, int64_t now) {
  char own[KEY_HEX + 1], why[sizeof link->refusal];
  key_to_hex(&link->keys.own, own);
  snprintf(why, sizeof why, "its key is not in the list there (--allow); the line to add: %s NAME", own);
  dial_later(link, why, now);
}

static const char *handshake_advice(const struct link *link) {
  return link->has_keys
             ? "it takes no keys, or is not the one whose key this worker expects: make the key for it, with "
               "keygen --worker NAME --for ITS KEY"
             : "it asks for a key; give --key FILE (scripts/tandem keygen makes one)";
}

/* One broken handshake may be the end of a run; several are a reason. The other end does not say which. */
static void on_broken_handshake(struct link *link, int64_t now) {
  if (++link->handshakes_failed >= HANDSHAKES_SAID) dial_later(link, handshake_advice(link), now);
}

static void look_at_connection(struct link *link, int64_t now) {
  struct monitor_event e;
  while (link->watch.socket && monitor_next(&link->watch, &e)) {
    if (e.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      link->handshakes_failed = 0;
      link->dialled_ms = now;
    } else if (e.event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
      on_wrong_key(link, now);
    } else if (e.event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
      dial_later(link, handshake_advice(link), now);
    } else {
      on_broken_handshake(link, now);
    }
    if (!link->socket) return;
  }
  if (link->greeted || link->said_nobody || now - link->dialled_ms < NOBODY_MS) return;
  link->said_nobody = true;
  log_info("nobody has answered at %s for %d s; still trying", link->endpoint, NOBODY_MS / 1000);
}

/* --- Messages -------------------------------------------------------------------------------------------- */

/* False: an answer to an earlier greeting of the session that is already open. */
static bool on_welcome(struct link *link, const struct message *m) {
  if (link->state == LINK_OPEN && m->incarnation == link->incarnation) return false;
  start_over(link, LINK_OPEN, 0);
  link->refusal[0] = '\0';
  link->said_nobody = false;
  link->handshakes_failed = 0;
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

/* With which a shard counts against the credits: as its upstream counts it. */
static uint64_t shard_bytes(const struct packet *p) {
  if (p->head.kind == MESSAGE_TICKET) return p->head.bytes;
  return p->head.memory.bytes ? p->head.memory.bytes : p->pixels.size;
}

/* Whether the message is for the owner. */
static bool pass(struct link *link, struct packet *p, int64_t now) {
  switch (p->head.kind) {
  case MESSAGE_BEAT: return false;
  case MESSAGE_REFUSE: on_refuse(link, p->head.reason, now); return false;
  case MESSAGE_WELCOME: return on_welcome(link, &p->head);
  case MESSAGE_BYE:
    if (link->state != LINK_OPEN) return false;
    start_over(link, LINK_HELLO, now);
    return true;
  case MESSAGE_TICKET:
  case MESSAGE_DECODED:
    if (link->state != LINK_OPEN) return false;
    link->received++;
    link->received_bytes += shard_bytes(p);
    return find_pixels(link, p);
  case MESSAGE_DECODERS:
  case MESSAGE_ALLOWED:
  case MESSAGE_ACK: return link->state == LINK_OPEN;
  default: drop_note(link->drops, DROP_UNEXPECTED, message_kind_name(p->head.kind)); return false;
  }
}

enum status link_receive(struct link *link, struct packet **out) {
  if (!link->socket) return E_AGAIN; /* between two attempts */
  for (int i = 0; i < 64; i++) {
    bool version_ok = true;
    enum status st = packet_receive(link->socket, false, link->drops, out, &version_ok);
    if (st != OK) return st;
    int64_t now = clock_ms();
    link->heard_ms = now;
    if (version_ok && pass(link, *out, now)) return OK;
    if (!version_ok && (*out)->head.kind == MESSAGE_REFUSE) {
      on_refuse(link, text_of(fail_message()), now);
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
  look_at_connection(link, now_ms);
  if (now_ms < link->hello_at_ms) return false;
  if (link->state == LINK_REFUSED) start_over(link, LINK_HELLO, now_ms);
  if (!link->socket && dial(link) != OK) {
    log_warn("%s", fail_message());
    start_over(link, LINK_REFUSED, now_ms + REFUSED_MS);
    return false;
  }
  link->greeted = packet_send(link->socket, NULL, link->hello, NULL, 0) == OK; /* not while nobody listens */
  if (link->greeted) link->hello_at_ms = now_ms + GREET_AGAIN_MS;
  return false;
}

int link_poll(const struct link *link, zmq_pollitem_t *item) {
  short events = link->state == LINK_HELLO && !link->greeted ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN;
  *item = (zmq_pollitem_t){.socket = link->socket, .events = events};
  return link->socket != NULL;
}

void link_want(struct link *link, uint64_t room, uint64_t room_bytes) {
  uint64_t shards = link->received + room, bytes = link->received_bytes + room_bytes;
  if (link->state != LINK_OPEN || (shards <= link->granted && bytes <= link->granted_bytes)) return;
  struct message want = {.kind = MESSAGE_WANT,
                         .credits = shards > link->granted ? shards : link->granted,
                         .credit_bytes = bytes > link->granted_bytes ? bytes : link->granted_bytes,
                         .shared = link->reader.pid != 0};
  if (packet_send(link->socket, NULL, &want, NULL, 0) != OK) return;
  link->granted = want.credits;
  link->granted_bytes = want.credit_bytes;
}

enum status link_send(struct link *link, const struct message *head, zmq_msg_t *frames, int n) {
  if (link->state == LINK_OPEN) return packet_send(link->socket, NULL, head, frames, n);
  for (int i = 0; i < n; i++) zmq_msg_close(&frames[i]);
  return E_AGAIN;
}
