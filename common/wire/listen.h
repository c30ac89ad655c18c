/* A ROUTER that listens at one or several endpoints: ipc in plain, TCP under CURVE where there are keys. */
#ifndef WIRE_LISTEN_H
#define WIRE_LISTEN_H

#include "wire/guard.h"

struct listen_options {
  const char *const *endpoints;
  size_t n;
  int64_t max_frame;
  const char *where;       /* begins log lines; borrowed by the guard */
  bool insecure;           /* other machines may reach an endpoint in plain */
  const struct keys *keys; /* NULL: TCP in plain, on this machine unless `insecure` */
  const char *allow;       /* list of the keys that may connect; NULL: nobody until guard_allow */
};

struct listening {
  void *socket;
  struct guard *guard;                         /* NULL: no TCP endpoint */
  char endpoints[SERVE_MAX][ENDPOINT_MAX + 1]; /* as resolved: port numbers instead of '*' */
  size_t n;
  bool has_keys; /* its TCP endpoints ask for keys */
};

/* A ZeroMQ context: with several I/O threads where connections have to be encrypted. E_IO. */
enum status listen_context(void **out, bool encrypts);
void listen_context_close(void **context); /* when its sockets are closed; accepts NULL, nulls */

/* Binds everything, or nothing; a key that is not in the list has been tried, and refused, when it returns.
 * Errors: E_ARG (not an endpoint, not allowed), E_EXISTS (in use), E_IO, whatever allow_list_read returns. */
enum status listen_open(struct listening *out, void *context, const struct listen_options *options);

/* The socket first, if nobody has taken it over and closed it. */
void listen_close(struct listening *listening);

/* Whether any of the endpoints is tcp. */
bool listen_has_tcp(const char *const *endpoints, size_t n);

#endif
