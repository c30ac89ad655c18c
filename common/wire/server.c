#include "wire/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void server_open(struct server *server, void *socket, const char *where, struct server_hooks hooks) {
  *server = (struct server){.socket = socket, .hooks = hooks, .drops.where = where};
}

static void say_bye(struct server *server, const struct peer *to, const char *reason) {
  struct message bye = {.kind = MESSAGE_BYE, .reason = text_of(reason)};
  packet_send(server->socket, to, &bye, NULL, 0); /* best effort: silence says the same */
}

void server_close(struct server *server, const char *reason) {
  if (!server->socket) return;
  for (size_t i = 0; i < server->n; i++) {
    say_bye(server, &server->sessions[i]->peer, reason);
    slot_reader_close(&server->sessions[i]->reader);
    free(server->sessions[i]);
  }
  free(server->sessions);
  server->sessions = NULL;
  server->n = 0;
  socket_close(&server->socket);
}

static struct session *find_peer(struct server *server, const struct peer *peer) {
  for (size_t i = 0; i < server->n; i++) {
    struct peer *p = &server->sessions[i]->peer;
    if (p->size == peer->size && memcmp(p->id, peer->id, peer->size) == 0) return server->sessions[i];
  }
  return NULL;
}

static void remove_session(struct server *server, struct session *session, bool lost) {
  for (size_t i = 0; i < server->n; i++) {
    if (server->sessions[i] != session) continue;
    memmove(&server->sessions[i], &server->sessions[i + 1], (--server->n - i) * sizeof(struct session *));
    server->hooks.left(server->hooks.owner, session, lost);
    slot_reader_close(&session->reader);
    free(session);
    return;
  }
}

void server_dismiss(struct server *server, struct session *session, const char *reason) {
  say_bye(server, &session->peer, reason);
  remove_session(server, session, false);
}

static struct session *add_session(struct server *server) {
  if (server->n == SESSIONS_MAX) return NULL;
  struct session **grown = realloc(server->sessions, (server->n + 1) * sizeof(struct session *));
  if (!grown) return NULL;
  server->sessions = grown;
  struct session *s = calloc(1, sizeof *s);
  if (s) server->sessions[server->n++] = s;
  return s;
}

static void refuse(struct server *server, const struct packet *p, const char *reason) {
  log_warn("%s: refused worker '%.*s': %s", server->drops.where, TEXT_ARG(p->head.worker), reason);
  struct message m = {.kind = MESSAGE_REFUSE, .reason = text_of(reason)};
  packet_send(server->socket, &p->from, &m, NULL, 0);
}

static void describe(struct session *s, struct packet *p) {
  const struct message *hello = &p->head;
  const char *user = packet_user(p), *address = packet_address(p);
  s->peer = p->from;
  s->heard_ms = clock_ms();
  text_copy(hello->role, s->role, sizeof s->role);
  text_copy(hello->worker, s->worker, sizeof s->worker);
  text_copy(hello->host, s->host, sizeof s->host);
  for (uint32_t i = 0; i < hello->serve.count && i < SERVE_MAX; i++)
    text_copy(hello->serve.at[i], s->serve[s->n_serve++], sizeof s->serve[0]);
  text_copy(text_of(user), s->user, sizeof s->user);
  text_copy(user ? text_of(user) : hello->key, s->key,
            sizeof s->key); /* what is proved counts, not what is said */
  if (hello->key.size == 0) s->key[0] = '\0';
  text_copy(text_of(address), s->address, sizeof s->address);
}

/* NULL, or why not. */
static const char *judge(struct server *server, struct packet *p) {
  const char *user = packet_user(p);
  if (user && server->guard && !guard_admits(server->guard, user)) return "its key is no longer in the list";
  return server->hooks.admit(server->hooks.owner, &p->head);
}

/* A hello starts a session afresh, whatever there was before with this connection or this worker. */
static void on_hello(struct server *server, struct packet *p) {
  for (size_t i = server->n; i-- > 0;) {
    struct session *s = server->sessions[i];
    if (text_is(p->head.worker, s->worker) || find_peer(server, &p->from) == s)
      remove_session(server, s, false);
  }
  const char *reason = judge(server, p);
  struct session *s = reason ? NULL : add_session(server);
  if (!s) {
    refuse(server, p, reason ? reason : "no room for another worker");
    return;
  }
  describe(s, p);
  s->number = ++server->opened;
  struct message m = {.kind = MESSAGE_WELCOME, .beat_ms = BEAT_MS, .silence_ms = SILENCE_MS};
  server->hooks.welcome(server->hooks.owner, &m);
  m.shared = server->reads_memory && slot_reader_open(&s->reader, &p->head) == OK;
  if (server_send(server, s, &m, NULL, 0, 0) == OK) server->hooks.joined(server->hooks.owner, s);
}

/* False: nothing to read, and the session may be gone. */
static bool find_pixels(struct server *server, struct session *s, struct packet *p) {
  enum status st = packet_map(p, &s->reader, &server->drops);
  if (st == E_IO || st == E_MEMORY) {
    log_warn("%s: %s; payloads go through sockets from now on", server->drops.where, fail_message());
    server->reads_memory = false;
    server_dismiss(server, s, "its memory cannot be read any more");
  }
  return st == OK;
}

static void on_message(struct server *server, struct packet **packet) {
  struct packet *p = *packet;
  struct session *s = find_peer(server, &p->from);
  if (p->head.kind == MESSAGE_HELLO) {
    on_hello(server, p);
    return;
  }
  if (!s) {
    if (p->head.kind != MESSAGE_BYE) say_bye(server, &p->from, "no session: say hello");
    return;
  }
  s->heard_ms = clock_ms();
  if (s->silent) { /* left was called for it */
    s->silent = false;
    server->hooks.joined(server->hooks.owner, s);
  }
  switch (p->head.kind) {
  case MESSAGE_WANT:
    if (p->head.credits > s->credits) s->credits = p->head.credits;
    if (p->head.credit_bytes > s->credit_bytes) s->credit_bytes = p->head.credit_bytes;
    s->shares = p->head.shared;
    return;
  case MESSAGE_BEAT: s->count = p->head.count; return;
  case MESSAGE_BYE: remove_session(server, s, false); return;
  default:
    if (find_pixels(server, s, p)) server->hooks.message(server->hooks.owner, s, packet);
  }
}

enum status server_pump(struct server *server) {
  for (int i = 0; i < 16; i++) {
    struct packet *p = NULL;
    bool version_ok = true;
    enum status st = packet_receive(server->socket, true, &server->drops, &p, &version_ok);
    if (st != OK) return st == E_AGAIN ? OK : st;
    if (version_ok)
      on_message(server, &p);
    else if (p->head.kind == MESSAGE_HELLO)
      refuse(server, p, fail_message());
    else
      drop_note(&server->drops, DROP_VERSION, fail_message());
    packet_free(&p);
  }
  return OK;
}

/* Connections stay when their key leaves the list; their sessions do not. */
static void follow_guard(struct server *server) {
  uint64_t version = guard_version(server->guard);
  if (version == server->guard_version) return;
  server->guard_version = version;
  for (size_t i = server->n; i-- > 0;) {
    struct session *s = server->sessions[i];
    if (!s->user[0] || guard_admits(server->guard, s->user)) continue;
    log_warn("%s: the key of worker %s is no longer in the list", server->drops.where, s->worker);
    server_dismiss(server, s, "your key is no longer in the list");
  }
}

void server_tick(struct server *server, int64_t now_ms) {
  if (server->guard) follow_guard(server);
  if (now_ms < server->beat_at_ms) return;
  server->beat_at_ms = now_ms + BEAT_MS;
  struct message beat = {.kind = MESSAGE_BEAT};
  for (size_t i = server->n; i-- > 0;) {
    struct session *s = server->sessions[i];
    if (server_send(server, s, &beat, NULL, 0, 0) == E_NOT_FOUND) continue; /* freed */
    if (s->silent || now_ms - s->heard_ms <= SILENCE_MS) continue;
    s->silent = true;
    log_warn("%s: nothing heard from worker %s for %d s; its work goes elsewhere", server->drops.where,
             s->worker, SILENCE_MS / 1000);
    server->hooks.left(server->hooks.owner, s, true);
  }
}

struct session *server_session(const struct server *server, uint64_t number) {
  for (size_t i = 0; i < server->n; i++)
    if (server->sessions[i]->number == number) return server->sessions[i];
  return NULL;
}

struct session *server_worker(const struct server *server, struct text worker) {
  for (size_t i = 0; i < server->n; i++)
    if (text_is(worker, server->sessions[i]->worker)) return server->sessions[i];
  return NULL;
}

static bool has_room(const struct session *s) {
  return !s->silent && s->sent < s->credits && s->sent_bytes < s->credit_bytes;
}

struct session *server_with_credit(struct server *server, const char *role,
                                   bool (*avoid)(const void *arg, const struct session *s), const void *arg) {
  struct session *best = NULL;
  size_t best_at = 0;
  for (size_t i = 0; i < server->n; i++) {
    size_t at = (server->turn + i) % server->n;
    struct session *s = server->sessions[at];
    if (!has_room(s) || strcmp(s->role, role) != 0 || (avoid && avoid(arg, s))) continue;
    if (best && s->credits - s->sent <= best->credits - best->sent) continue;
    best = s;
    best_at = at;
  }
  if (best) server->turn = best_at + 1;
  return best;
}

enum status server_send(struct server *server, struct session *session, const struct message *head,
                        zmq_msg_t *frames, int n, uint64_t work_bytes) {
  enum status st = packet_send(server->socket, &session->peer, head, frames, n);
  if (st == OK && work_bytes) {
    session->sent++;
    session->sent_bytes += work_bytes;
  }
  if (st == E_NOT_FOUND) {
    log_info("%s: worker %s is gone", server->drops.where, session->worker);
    remove_session(server, session, true);
  }
  return st;
}
