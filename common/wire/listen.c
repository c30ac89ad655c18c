/* Endpoints are bound in two rounds, because libzmq copies a socket's options when it binds: plain ones first. */
#include "wire/listen.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "wire/endpoint.h"
#include "wire/packet.h"

enum { IO_THREADS_MAX = 4 };

enum status listen_context(void **out, bool encrypts) {
  *out = zmq_ctx_new();
  if (!*out) return fail(E_IO, "cannot start ZeroMQ: %s", zmq_strerror(errno));
  /* One core encrypts about 0.4 GB/s; a connection stays with its thread. */
  long cores = sysconf(_SC_NPROCESSORS_ONLN), threads = cores < IO_THREADS_MAX ? cores : IO_THREADS_MAX;
  if (encrypts && threads > 1) zmq_ctx_set(*out, ZMQ_IO_THREADS, (int)threads);
  return OK;
}

void listen_context_close(void **context) {
  while (*context && zmq_ctx_term(*context) != 0 && errno == EINTR)
    continue; /* a signal while it sends what is left */
  *context = NULL;
}

bool listen_has_tcp(const char *const *endpoints, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (endpoint_is_tcp(endpoints[i])) return true;
  return false;
}

static enum status bind_some(struct listening *l, const struct listen_options *o, bool with_keys) {
  for (size_t i = 0; i < o->n; i++) {
    if ((o->keys && endpoint_is_tcp(o->endpoints[i])) != with_keys) continue;
    enum status st = socket_bind(l->socket, o->endpoints[i], o->insecure || with_keys, l->endpoints[i],
                                 sizeof l->endpoints[i]);
    if (st != OK) return st;
    if (endpoint_is_tcp(l->endpoints[i]) && !with_keys)
      log_info("%s: %s is plain: nothing is encrypted, and whoever reaches it may join", o->where,
               l->endpoints[i]);
  }
  return OK;
}

static enum status protect(struct listening *l, void *context, const struct listen_options *o) {
  enum status st = guard_protect(l->socket, o->keys);
  if (st == OK) st = bind_some(l, o, true);
  for (size_t i = 0; st == OK && i < o->n; i++)
    if (endpoint_is_tcp(l->endpoints[i])) st = guard_probe(l->guard, context, l->endpoints[i], o->keys);
  return st;
}

enum status listen_open(struct listening *out, void *context, const struct listen_options *options) {
  const struct listen_options *o = options;
  *out = (struct listening){.n = o->n};
  enum status st = OK;
  if (o->n > SERVE_MAX) return fail(E_ARG, "at most %d endpoints to listen at", SERVE_MAX);
  bool tcp = listen_has_tcp(o->endpoints, o->n);
  out->has_keys = o->keys && tcp;
  TRY(socket_open(&out->socket, context, ZMQ_ROUTER, o->max_frame));
  if (tcp) {
    TRY(guard_open(&out->guard, context, o->where, o->keys ? o->allow : NULL));
    TRY(guard_watch(out->guard, out->socket));
  }
  TRY(bind_some(out, o, false));
  if (out->has_keys) TRY(protect(out, context, o));
  return OK;
out:
  listen_close(out);
  return st;
}

void listen_close(struct listening *l) {
  socket_close(&l->socket);
  guard_close(&l->guard);
}
