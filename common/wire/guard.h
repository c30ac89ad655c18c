/* Who may connect to this process: the ZAP handler behind its CURVE sockets, and a watch on connections that fail.
 *
 * CURVE alone encrypts; without a handler libzmq lets any key in. A guard is the handler of one ZeroMQ context, in a
 * thread of its own. It lets in the keys of a list: a file, read again when it changes, or one set by guard_allow. It
 * has to be open before the sockets it protects are bound, and to be closed after them. Everything here is
 * thread-safe; sockets are named only from the thread that owns them. */
#ifndef WIRE_GUARD_H
#define WIRE_GUARD_H

#include "wire/keys.h"

struct guard;

/* `where` begins log lines ("consumer socket"; borrowed). `file`: the list; NULL: nobody until guard_allow.
 * Errors: whatever allow_list_read returns, E_IO, E_MEMORY. */
enum status guard_open(struct guard **out, void *context, const char *where, const char *file);
void guard_close(struct guard **guard); /* accepts NULL; nulls */

/* Counts the connections to this socket's TCP endpoints that come to nothing. One socket per guard, before it is
 * bound; guard_unwatch before it is closed. E_IO. */
enum status guard_watch(struct guard *guard, void *socket);
void guard_unwatch(void *socket);

/* From now on the socket binds as a CURVE server with `keys`, for those in the list. E_IO. */
enum status guard_protect(void *socket, const struct keys *keys);

/* Dials the endpoint with a key made for the purpose, which has to be refused. E_IO: it was not. */
enum status guard_probe(struct guard *guard, void *context, const char *endpoint, const struct keys *keys);

/* Replaces the list. What is not a key is left out. E_MEMORY. */
enum status guard_allow(struct guard *guard, const struct texts *keys);

/* Whether the key of a connection is in the list now. `user`: hex, as ZeroMQ's "User-Id". */
bool guard_admits(struct guard *guard, const char *user);

/* Changes whenever the list does. */
uint64_t guard_version(struct guard *guard);

/* The list in hex: at most `max` strings are filled in; returns how many. */
size_t guard_list(struct guard *guard, char (*out)[KEY_HEX + 1], size_t max);

/* Connections to TCP endpoints that were not let in: wrong keys, no keys, other protocols, nothing said. */
uint64_t guard_refused(struct guard *guard);

#endif
