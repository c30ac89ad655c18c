/* Endpoints as text: what they say, and who can dial them. Opens no ZeroMQ socket. Thread-safe.
 *
 * An endpoint is ipc://PATH or tcp://HOST:PORT, with an IPv6 address in brackets. When a decode worker listens at
 * every address of its machine (0.0.0.0, [::], *), others have to dial one of them: the host is then filled in by
 * whoever knows it. A host of "*" on its way means: the host at which you dial the consumer. */
#ifndef WIRE_ENDPOINT_H
#define WIRE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/message.h"

bool endpoint_is_ipc(const char *endpoint);
bool endpoint_is_tcp(const char *endpoint);

/* ipc, or a loopback address: nobody on another machine can dial it. */
bool endpoint_is_local(const char *endpoint);

/* tcp at every address of the machine. */
bool endpoint_is_wildcard(const char *endpoint);

/* An IPv6 address in brackets. */
bool endpoint_is_ipv6(const char *endpoint);

/* The host of a tcp endpoint without brackets. E_ARG: it has none, or no port. */
enum status endpoint_host(const char *endpoint, char *out, size_t size);

/* A tcp endpoint with another host; brackets are added to an IPv6 address. E_ARG. */
enum status endpoint_with_host(const char *endpoint, const char *host, char *out, size_t size);

/* What to dial for an endpoint that a peer announced: a host of "*" becomes that of `consumer`, the
 * endpoint at which this process dials the consumer; 127.0.0.1 if that is ipc. E_ARG. */
enum status endpoint_resolve(const char *endpoint, const char *consumer, char *out, size_t size);

/* The machine as other processes see it: equal for two processes if ipc and loopback endpoints of one can be dialled
 * by the other, i.e. the same kernel, /tmp and network. 16 hex digits. */
void endpoint_machine(char out[HOST_MAX + 1]);

/* An ipc endpoint that only this user can reach, in a folder under /tmp made for the purpose, e.g. name
 * "feed" -> "ipc:///tmp/tandem-1000/feed-4711". Removes sockets there that nobody listens to. E_IO. */
enum status endpoint_private(const char *name, char *out, size_t size);

/* Whether somebody accepts connections at this ipc path. */
bool endpoint_path_in_use(const char *path);

#endif
