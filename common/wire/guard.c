/* ZAP: RFC 27 (a request per connection on inproc://zeromq.zap.01). The probe is there because what protects us
 * is a setting of a library: that it works is tried out, each time, before anybody else can connect. */
#include "wire/guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/endpoint.h"
#include "wire/monitor.h"
#include "wire/packet.h"

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN /* declared among the drafts, but there */
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

enum { LOOK_AGAIN_MS = 500, PROBE_MS = 20000, NAMED = 32, ZAP_FRAMES = 8 };

static const char *const zap_endpoint = "inproc://zeromq.zap.01";
static const char *const zap_domain = "tandem";

struct guard {
  const char *where, *file;
  void *zap, *control, *control_end; /* `control`: the owner's end of the pair that ends the thread */
  struct monitor watch;
  pthread_t thread;
  bool has_thread;

  pthread_mutex_t lock;
  struct allow_list list;
  uint64_t version;
  struct stat seen; /* of the file when it was read */
  bool file_is_bad;
  struct key probe;
  uint64_t accepted, welcomed, probed;
  struct key named[NAMED]; /* whose refusal has been logged */
  int n_named;
  bool said_other;
};

/* --- The list ------------------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
         a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
         a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Locked. Takes the list over. */
static void put_list(struct guard *g, struct allow_list *list) {
  allow_list_free(&g->list);
  g->list = *list;
  g->n_named = 0;
  g->version++;
}

/* A file that is half-written or gone leaves the list as it was. */
static void look_at_file(struct guard *g) {
  struct stat now = {0};
  struct allow_list list = {0};
  bool there = stat(g->file, &now) == 0;
  pthread_mutex_lock(&g->lock);
  bool changed = !there || !same_file(&now, &g->seen);
  pthread_mutex_unlock(&g->lock);
  if (!changed) return;
  enum status st = allow_list_read(&list, g->file);
  pthread_mutex_lock(&g->lock);
  if (st == OK) {
    g->seen = now;
    put_list(g, &list);
    log_info("%s: %zu keys may connect (%s)", g->where, g->list.n, g->file);
  } else if (!g->file_is_bad) {
    log_warn("%s: %s; the keys it had before stay valid", g->where, fail_message());
  }
  g->file_is_bad = st != OK;
  pthread_mutex_unlock(&g->lock);
}

enum status guard_allow(struct guard *guard, const struct texts *keys) {
  struct allow_list list = {.at = calloc(keys->count ? keys->count : 1, sizeof *list.at)};
  if (!list.at) return fail(E_MEMORY, "out of memory for a list of keys");
  for (uint32_t i = 0; i < keys->count; i++) list.n += key_from_hex(keys->at[i], &list.at[list.n].key);
  pthread_mutex_lock(&guard->lock);
  put_list(guard, &list);
  pthread_mutex_unlock(&guard->lock);
  return OK;
}

bool guard_admits(struct guard *guard, const char *user) {
  struct key key;
  pthread_mutex_lock(&guard->lock);
  bool admits = key_from_hex(text_of(user), &key) && allow_list_find(&guard->list, &key);
  pthread_mutex_unlock(&guard->lock);
  return admits;
}

uint64_t guard_version(struct guard *guard) {
  pthread_mutex_lock(&guard->lock);
  uint64_t version = guard->version;
  pthread_mutex_unlock(&guard->lock);
  return version;
}

size_t guard_list(struct guard *guard, char (*out)[KEY_HEX + 1], size_t max) {
  pthread_mutex_lock(&guard->lock);
  size_t n = guard->list.n < max ? guard->list.n : max;
  for (size_t i = 0; i < n; i++) key_to_hex(&guard->list.at[i].key, out[i]);
  pthread_mutex_unlock(&guard->lock);
  return n;
}

/* Connections in the middle of their handshake count too: they have not been let in. */
uint64_t guard_refused(struct guard *guard) {
  pthread_mutex_lock(&guard->lock);
  uint64_t in = guard->welcomed + guard->probed, all = guard->accepted;
  pthread_mutex_unlock(&guard->lock);
  return all > in ? all - in : 0;
}

/* --- Requests ------------------------------------------------------------------------------------------- */

/* Locked. Logs a key once. */
static void note_refused(struct guard *g, const struct key *key, const char *address) {
  for (int i = 0; i < g->n_named; i++)
    if (key_equal(&g->named[i], key)) return;
  if (g->n_named == NAMED) return;
  g->named[g->n_named++] = *key;
  char hex[KEY_HEX + 1];
  key_to_hex(key, hex);
  log_warn("%s: refused a connection from %s, whose key is not in the list%s%s; to let it in, add the line: "
           "%s NAME",
           g->where, address, g->file ? " " : "", g->file ? g->file : "", hex);
}

static bool judge(struct guard *g, const struct key *key, const char *address) {
  pthread_mutex_lock(&g->lock);
  bool is_probe = key_equal(key, &g->probe);
  bool admits = !is_probe && allow_list_find(&g->list, key);
  g->probed += is_probe;
  if (!admits && !is_probe) note_refused(g, key, address);
  pthread_mutex_unlock(&g->lock);
  return admits;
}

static void send_text(void *socket, const char *text, bool more) {
  zmq_send(socket, text, strlen(text), more ? ZMQ_SNDMORE : 0);
}

/* version, request id, domain, address, identity, mechanism, credentials */
static void on_request(struct guard *g) {
  char id[256], address[64], mechanism[16], hex[KEY_HEX + 1] = "";
  size_t id_size = 0;
  struct key key = {{0}};
  bool complete = false, more = true;
  address[0] = mechanism[0] = '\0';
  for (int i = 0; more; i++) {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, g->zap, i ? 0 : ZMQ_DONTWAIT) < 0) return;
    struct text t = {zmq_msg_data(&frame), (uint32_t)zmq_msg_size(&frame)};
    if (i == 1 && t.size <= sizeof id) memcpy(id, t.at, id_size = t.size);
    if (i == 3) text_copy(t, address, sizeof address);
    if (i == 5) text_copy(t, mechanism, sizeof mechanism);
    complete = i == 6 && t.size == KEY_BYTES && strcmp(mechanism, "CURVE") == 0;
    if (complete) memcpy(key.bytes, t.at, KEY_BYTES);
    more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
  }
  pthread_mutex_lock(&g->lock);
  bool known = complete && allow_list_find(&g->list, &key);
  pthread_mutex_unlock(&g->lock);
  if (!known && g->file) look_at_file(g); /* it may have been added just now */
  bool admits = complete && judge(g, &key, address);
  if (admits) key_to_hex(&key, hex);
  send_text(g->zap, "1.0", true);
  zmq_send(g->zap, id, id_size, ZMQ_SNDMORE);
  send_text(g->zap, admits ? "200" : "400", true);
  send_text(g->zap, admits ? "" : "not in the list", true);
  send_text(g->zap, hex, true);
  send_text(g->zap, "", false);
}

static void on_event(struct guard *g) {
  struct monitor_event e;
  while (monitor_next(&g->watch, &e)) {
    if (!endpoint_is_tcp(e.endpoint)) continue;
    bool other =
        e.event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL || e.event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    pthread_mutex_lock(&g->lock);
    g->accepted += e.event == ZMQ_EVENT_ACCEPTED;
    g->welcomed += e.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    bool say = other && !g->said_other;
    g->said_other |= other;
    pthread_mutex_unlock(&g->lock);
    if (say)
      log_warn("%s: a connection to %s ended in the handshake (no key, another server's key, or another "
               "protocol); "
               "further ones are only counted",
               g->where, e.endpoint);
  }
}

static void *serve(void *arg) {
  struct guard *g = arg;
  int64_t look_at_ms = clock_ms() + LOOK_AGAIN_MS;
  for (;;) {
    zmq_pollitem_t items[] = {{.socket = g->control_end, .events = ZMQ_POLLIN},
                              {.socket = g->zap, .events = ZMQ_POLLIN},
                              {.socket = g->watch.socket, .events = ZMQ_POLLIN}};
    if (zmq_poll(items, 3, LOOK_AGAIN_MS) < 0 && errno != EINTR) break;
    if (items[0].revents) break;
    if (items[1].revents) on_request(g);
    if (items[2].revents) on_event(g);
    if (g->file && clock_ms() >= look_at_ms) {
      look_at_file(g);
      look_at_ms = clock_ms() + LOOK_AGAIN_MS;
    }
  }
  return NULL;
}

/* --- Opening, closing ----------------------------------------------------------------------------------- */

static enum status start(struct guard *g, void *context) {
  char control[64];
  snprintf(control, sizeof control, "inproc://guard-%p", (void *)g);
  g->zap = zmq_socket(context, ZMQ_REP);
  g->control = zmq_socket(context, ZMQ_PAIR);
  g->control_end = zmq_socket(context, ZMQ_PAIR);
  if (!g->zap || !g->control || !g->control_end || zmq_bind(g->zap, zap_endpoint) != 0 ||
      zmq_bind(g->control_end, control) != 0 || zmq_connect(g->control, control) != 0)
    return fail(E_IO, "cannot start the check of keys: %s", zmq_strerror(errno));
  enum status st = monitor_open(&g->watch, context);
  if (st != OK) return st;
  int error = pthread_create(&g->thread, NULL, serve, g);
  if (error) return fail(E_IO, "cannot start a thread: %s", strerror(error));
  g->has_thread = true;
  return OK;
}

enum status guard_open(struct guard **out, void *context, const char *where, const char *file) {
  *out = NULL;
  struct guard *g = calloc(1, sizeof *g);
  if (!g) return fail(E_MEMORY, "out of memory");
  g->where = where;
  g->file = file;
  pthread_mutex_init(&g->lock, NULL);
  enum status st = OK;
  if (file && stat(file, &g->seen) != 0) /* before reading: a change in between is seen later */
    TRY(fail(E_IO, "cannot read %s: %s; scripts/tandem keygen makes one beside the key", file,
             strerror(errno)));
  if (file) TRY(allow_list_read(&g->list, file));
  TRY(start(g, context));
  *out = g;
  return OK;
out:
  guard_close(&g);
  return st;
}

void guard_close(struct guard **guard) {
  struct guard *g = *guard;
  *guard = NULL;
  if (!g) return;
  if (g->has_thread) {
    zmq_send(g->control, "", 0, 0);
    pthread_join(g->thread, NULL);
  }
  monitor_close(&g->watch);
  socket_close(&g->zap);
  socket_close(&g->control);
  socket_close(&g->control_end);
  allow_list_free(&g->list);
  pthread_mutex_destroy(&g->lock);
  free(g);
}

enum status guard_watch(struct guard *guard, void *socket) {
  return monitor_start(&guard->watch, socket,
                       ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
}

void guard_unwatch(void *socket) { monitor_stop(socket); }

enum status guard_protect(void *socket, const struct keys *keys) {
  int yes = 1;
  if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) == 0 &&
      zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret.bytes, KEY_BYTES) == 0 &&
      zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, zap_domain, strlen(zap_domain)) == 0 &&
      (zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &yes, sizeof yes) == 0 || errno == EINVAL))
    return OK; /* a libzmq without ENFORCE_DOMAIN is found out by the probe, if it matters */
  return fail(E_IO, "cannot use keys: %s; install a ZeroMQ with CURVE", zmq_strerror(errno));
}

/* --- The probe ------------------------------------------------------------------------------------------ */

static enum status verdict(struct monitor *m, const char *endpoint) {
  for (int64_t end = clock_ms() + PROBE_MS; clock_ms() < end;) {
    struct monitor_event e;
    zmq_pollitem_t item = {.socket = m->socket, .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, 100);
    while (monitor_next(m, &e)) {
      if (e.event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return OK;
      if (e.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        return fail(E_IO,
                    "%s lets in a key that is not in the list: this ZeroMQ does not check keys; "
                    "install Debian's, or listen at 127.0.0.1",
                    endpoint);
    }
  }
  return fail(E_IO, "cannot find out whether %s refuses unknown keys: no answer; check the firewall",
              endpoint);
}

enum status guard_probe(struct guard *guard, void *context, const char *endpoint, const struct keys *keys) {
  char dial[ENDPOINT_MAX + 1];
  struct keys stranger;
  struct monitor m = {0};
  void *socket = NULL;
  enum status st = OK;
  TRY(keys_make(&stranger, &keys->own));
  pthread_mutex_lock(&guard->lock);
  guard->probe = stranger.own;
  pthread_mutex_unlock(&guard->lock);
  snprintf(dial, sizeof dial, "%s", endpoint);
  if (endpoint_is_wildcard(endpoint))
    TRY(endpoint_with_host(endpoint, endpoint_is_ipv6(endpoint) ? "::1" : "127.0.0.1", dial, sizeof dial));
  TRY(socket_open(&socket, context, ZMQ_DEALER, FRAME_MAX));
  TRY(monitor_open(&m, context));
  TRY(monitor_start(&m, socket, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_SUCCEEDED));
  TRY(socket_keys(socket, &stranger));
  TRY(socket_connect(socket, dial));
  TRY(verdict(&m, endpoint));
out:
  if (socket) monitor_stop(socket);
  socket_close(&socket);
  monitor_close(&m);
  explicit_bzero(&stranger, sizeof stranger);
  return st;
}
