/* Opening, binding and naming sockets. The pitfalls each setting avoids are listed in docs/messages.md. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "wire/packet.h"

enum { QUEUE = 64, LINGER_MS = 1000, PING_MS = 2000, PING_LOST_MS = 15000 };

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
  if (*socket) zmq_close(*socket);
  *socket = NULL;
}

enum status socket_connect(void *socket, const char *endpoint) {
  if (zmq_connect(socket, endpoint) == 0) return OK;
  return fail(E_ARG, "cannot dial '%s': %s; endpoints look like ipc:///tmp/run/feed or tcp://host:5555",
              endpoint, zmq_strerror(errno));
}

/* Whether somebody accepts connections at this path. ZeroMQ would take the path away from them without a
 * word. */
static bool path_in_use(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  bool used = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
  close(fd);
  return used;
}

static bool is_loopback(const char *tcp) {
  const char *host = tcp + strlen("tcp://");
  return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost:", 10) == 0 ||
         strncmp(host, "[::1]:", 6) == 0 || strncmp(host, "lo:", 3) == 0;
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
  default: return fail(E_IO, "cannot listen at %s: %s", endpoint, zmq_strerror(error));
  }
}

enum status socket_bind(void *socket, const char *endpoint, bool insecure, char *resolved, size_t size) {
  if (strncmp(endpoint, "tcp://", 6) == 0 && !is_loopback(endpoint) && !insecure)
    return fail(
        E_ARG, "%s can be reached from other machines and nothing is encrypted; use 127.0.0.1, or --insecure",
        endpoint);
  if (strncmp(endpoint, "ipc://", 6) == 0 && path_in_use(endpoint + 6))
    return bind_error(endpoint, EADDRINUSE);
  if (zmq_bind(socket, endpoint) != 0) return bind_error(endpoint, errno);
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, resolved, &size) == 0) return OK;
  return fail(E_IO, "cannot tell the endpoint of %s: %s", endpoint, zmq_strerror(errno));
}

/* Removes what killed processes left. A minute of age, because a socket being opened does not answer yet. */
static void sweep(const char *folder) {
  time_t now = time(NULL);
  DIR *d = opendir(folder);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    char path[512];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (lstat(path, &s) == 0 && S_ISSOCK(s.st_mode) && now - s.st_mtime > 60 && !path_in_use(path))
      unlink(path);
  }
  closedir(d);
}

enum status endpoint_private(const char *name, char *out, size_t size) {
  char folder[64];
  snprintf(folder, sizeof folder, "/tmp/tandem-%ld", (long)getuid());
  struct stat s;
  if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || lstat(folder, &s) != 0)
    return fail(E_IO, "cannot create %s: %s", folder, strerror(errno));
  if (!S_ISDIR(s.st_mode) || s.st_uid != getuid() || (s.st_mode & 077) != 0)
    return fail(E_IO, "%s is not a private folder of this user; remove it, or name an endpoint", folder);
  sweep(folder);
  snprintf(out, size, "ipc://%s/%s-%ld", folder, name, (long)getpid());
  return OK;
}
