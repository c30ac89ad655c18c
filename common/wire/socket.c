/* Opening and binding sockets. The pitfalls each setting avoids are listed in docs/messages.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "wire/endpoint.h"
#include "wire/packet.h"

enum { QUEUE = 64, LINGER_MS = 1000, PING_MS = 2000, PING_LOST_MS = 15000, HANDSHAKE_MS = 10000 };

enum status socket_open(void **out, void *context, int type, int64_t max_frame) {
  void *s = *out = zmq_socket(context, type);
  if (!s) return fail(E_IO, "cannot open a socket: %s", zmq_strerror(errno));
  static const struct {
    int option, value, type; /* type 0: every socket */
  } settings[] = {{ZMQ_LINGER, LINGER_MS, 0},
                  {ZMQ_SNDHWM, QUEUE, 0},
                  {ZMQ_RCVHWM, QUEUE, 0},
                  {ZMQ_IMMEDIATE, 1, ZMQ_DEALER},
                  {ZMQ_ROUTER_MANDATORY, 1, ZMQ_ROUTER},
                  {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS, 0},
                  {ZMQ_HEARTBEAT_IVL, PING_MS, 0},
                  {ZMQ_HEARTBEAT_TIMEOUT, PING_LOST_MS, 0},
                  {ZMQ_RECONNECT_IVL, 50, ZMQ_DEALER},
                  {ZMQ_RECONNECT_IVL_MAX, 500, ZMQ_DEALER}};
  int bad = zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &max_frame, sizeof max_frame);
  for (size_t i = 0; !bad && i < sizeof settings / sizeof *settings; i++)
    if (!settings[i].type || settings[i].type == type)
      bad = zmq_setsockopt(s, settings[i].option, &settings[i].value, sizeof settings[i].value);
  if (!bad) return OK;
  enum status st = fail(E_IO, "cannot set up a socket: %s", zmq_strerror(errno));
  socket_close(out);
  return st;
}

void socket_close(void **socket) {
  if (*socket) {
    zmq_socket_monitor(*socket, NULL, 0); /* or events that nobody reads any more would block its end */
    zmq_close(*socket);
  }
  *socket = NULL;
}

enum status socket_keys(void *socket, const struct keys *keys) {
  if (zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->own.bytes, KEY_BYTES) == 0 &&
      zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret.bytes, KEY_BYTES) == 0 &&
      zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server.bytes, KEY_BYTES) == 0)
    return OK;
  return fail(E_IO, "cannot use keys: %s; install a ZeroMQ with CURVE", zmq_strerror(errno));
}

/* Names are looked up as IPv4; an IPv6 address stands in brackets. */
static void allow_ipv6(void *socket, const char *endpoint) {
  int ipv6 = endpoint_is_ipv6(endpoint);
  zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
}

enum status socket_connect(void *socket, const char *endpoint) {
  allow_ipv6(socket, endpoint);
  if (zmq_connect(socket, endpoint) == 0) return OK;
  return fail(E_ARG, "cannot dial '%s': %s; endpoints look like ipc:///tmp/run/feed or tcp://host:5555",
              endpoint, zmq_strerror(errno));
}

static enum status bind_error(const char *endpoint, int error) {
  switch (error) {
  case EADDRINUSE:
    return fail(E_EXISTS, "%s is in use by another process; choose another endpoint or stop it", endpoint);
  case ENAMETOOLONG: return fail(E_ARG, "%s is too long: an ipc path has at most 107 bytes", endpoint);
  case EINVAL:
  case EPROTONOSUPPORT:
    return fail(E_ARG, "'%s' is not an endpoint; they look like ipc:///tmp/run/feed or tcp://127.0.0.1:5555",
                endpoint);
  case ENODEV:
  case EADDRNOTAVAIL:
    return fail(E_ARG,
                "cannot listen at %s: this machine has no such address; give one of its own (ip address), "
                "the name of "
                "an interface, or 0.0.0.0 for all",
                endpoint);
  default: return fail(E_IO, "cannot listen at %s: %s", endpoint, zmq_strerror(error));
  }
}

static int bind_plain(void *socket, const char *endpoint) {
  return zmq_bind(socket, endpoint) == 0 ? 0 : errno;
}

/* ZeroMQ takes a path away from whoever listens there without a word, so somebody has to look first; the folder is locked
 * meanwhile, or two processes that start together would both find nobody. A folder that cannot be locked is no worse than
 * that. 0, or an errno. */
static int bind_path(void *socket, const char *endpoint) {
  char folder[ENDPOINT_MAX + 1];
  snprintf(folder, sizeof folder, "%s", endpoint + strlen("ipc://"));
  char *slash = strrchr(folder, '/');
  if (slash)
    slash[slash == folder] = '\0';
  else
    strcpy(folder, ".");
  int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock >= 0) flock(lock, LOCK_EX);
  int error = endpoint_path_in_use(endpoint + strlen("ipc://")) ? EADDRINUSE : bind_plain(socket, endpoint);
  if (lock >= 0) close(lock);
  return error;
}

enum status socket_bind(void *socket, const char *endpoint, bool insecure, char *resolved, size_t size) {
  if (!endpoint_is_local(endpoint) && !insecure)
    return fail(E_ARG,
                "%s can be reached from other machines and nothing is encrypted; give --key (scripts/tandem "
                "keygen), use "
                "127.0.0.1, or --insecure",
                endpoint);
  allow_ipv6(socket, endpoint);
  int error = endpoint_is_ipc(endpoint) ? bind_path(socket, endpoint) : bind_plain(socket, endpoint);
  if (error) return bind_error(endpoint, error);
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, resolved, &size) == 0) return OK;
  return fail(E_IO, "cannot tell the endpoint of %s: %s", endpoint, zmq_strerror(errno));
}
