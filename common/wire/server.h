/* The upstream end of a hop: one ROUTER and a session per worker that said hello.
 *
 *   (unknown) --hello, admitted--> OPEN --want/beat/results--> OPEN --bye, unreachable, same worker again-->
 * (gone)
 *
 * Credits are cumulative: `want` says how many shards the worker can take in this session counted from its
 * start, and the server sends while it has sent fewer. So a repeated or overtaken `want` changes nothing and
 * no credit is lost. Whoever speaks without a session is answered `bye` and says hello again. One thread. */
#ifndef WIRE_SERVER_H
#define WIRE_SERVER_H

#include "wire/guard.h"
#include "wire/packet.h"

enum { BEAT_MS = 500, SILENCE_MS = 5000, SESSIONS_MAX = 4096 };

struct session {
  struct peer peer;
  char role[17], worker[WORKER_NAME_MAX + 1];
  char host[HOST_MAX + 1]; /* its machine, as endpoint_machine */
  char serve[SERVE_MAX][ENDPOINT_MAX + 1];
  int n_serve;
  char key[KEY_HEX + 1];  /* of the endpoints it serves at; empty: plain */
  char user[KEY_HEX + 1]; /* the key with which it connected; empty: plain */
  char address[64];       /* its IP address as seen from here; not one over ipc */
  uint64_t number;        /* counts sessions; never used twice */
  uint64_t credits, sent, credit_bytes, sent_bytes;
  int64_t heard_ms;
  bool silent; /* nothing heard for SILENCE_MS: gets no work, may come back */
  struct counters count;
  bool shares;               /* the worker can read payloads in this process's memory */
  struct slot_reader reader; /* of payloads in the worker's memory */
};

struct server_hooks {
  void *owner;
  /* NULL to admit, or why not (borrowed until the next call). */
  const char *(*admit)(void *owner, const struct message *hello);
  void (*welcome)(void *owner, struct message *welcome); /* fills run, incarnation, dataset and, of
                                                            a producer, memory */
  void (*joined)(void *owner, struct session *session);  /* welcome was sent, or a silent one talks again */
  /* Its work should go elsewhere. `lost`: it is silent or cannot be reached, and did not say bye. */
  void (*left)(void *owner, struct session *session, bool lost);
  void (*message)(void *owner, struct session *session,
                  struct packet **packet); /* may take the packet: null it */
};

struct server {
  void *socket;
  struct server_hooks hooks;
  struct drops drops;
  struct guard *guard; /* borrowed; NULL: no keys. Sessions whose key leaves the list are ended. */
  uint64_t guard_version;
  struct session **sessions;
  size_t n;
  size_t turn; /* where the search for credit starts */
  uint64_t opened;
  int64_t beat_at_ms;
  bool reads_memory; /* to be set after server_open: payloads may come in the workers' memory */
};

/* Takes over the bound socket. */
void server_open(struct server *server, void *socket, const char *where, struct server_hooks hooks);
void server_close(struct server *server, const char *reason); /* says bye to every session */

/* Handles what has arrived, at most 16 messages. E_IO, E_MEMORY. */
enum status server_pump(struct server *server);

/* Heartbeats out, silence and lost connections noticed. */
void server_tick(struct server *server, int64_t now_ms);

/* The session with this number, or of this worker; NULL: none. */
struct session *server_session(const struct server *server, uint64_t number);
struct session *server_worker(const struct server *server, struct text worker);

/* The worker of `role` with the most credit left, that is with the least in hand, in turn among equals; `avoid` (may be
 * NULL) names workers to pass over. NULL: none has credit. */
struct session *server_with_credit(struct server *server, const char *role,
                                   bool (*avoid)(const void *arg, const struct session *s), const void *arg);

/* Sends; a shard of work_bytes (0: this is no work) counts against the credits. If the peer is gone the session ends (hooks.left) and
 * *session is freed: E_NOT_FOUND. E_AGAIN: its queue is full. */
enum status server_send(struct server *server, struct session *session, const struct message *head,
                        zmq_msg_t *frames, int n, uint64_t work_bytes);

/* Ends a session from this side: the worker says hello again. */
void server_dismiss(struct server *server, struct session *session, const char *reason);

#endif
