/* Who can dial whom. A decode worker names its endpoints, best first; each augment worker is told the first one that
 * its machine can dial. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/endpoint.h"
#include "wire/feed_impl.h"

enum { DECODERS_MAX = 240 };

/* The address from which a worker dials, if others can dial it there. IPv4 comes as ::ffff:1.2.3.4 where the socket
 * listens at both. */
static const char *public_address(const struct session *s) {
  struct in_addr v4;
  struct in6_addr v6;
  const char *a = strncmp(s->address, "::ffff:", 7) == 0 ? s->address + 7 : s->address;
  if (inet_pton(AF_INET, a, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127 ? NULL : a;
  return inet_pton(AF_INET6, a, &v6) == 1 && !IN6_IS_ADDR_LOOPBACK(&v6) ? a : NULL;
}

/* Endpoint i of a decode worker as an augment worker dials it. False: it cannot. */
static bool dial_at(const struct feed *f, const struct session *decode, int i, const struct session *augment,
                    char *out, size_t size) {
  const char *endpoint = decode->serve[i];
  bool same_machine = strcmp(decode->host, augment->host) == 0;
  snprintf(out, size, "%s", endpoint);
  if (endpoint_is_local(endpoint)) return same_machine;
  if (!endpoint_is_wildcard(endpoint)) return true;
  if (same_machine) return endpoint_with_host(endpoint, "127.0.0.1", out, size) == OK;
  if (strcmp(decode->host, f->machine) == 0)
    return true; /* at the consumer's host, whatever the worker calls it */
  const char *address = public_address(decode);
  return address && endpoint_with_host(endpoint, address, out, size) == OK;
}

static bool choose(const struct feed *f, const struct session *decode, const struct session *augment,
                   char *out, size_t size) {
  for (int i = 0; i < decode->n_serve; i++)
    if (dial_at(f, decode, i, augment, out, size)) return true;
  return false;
}

static void say_unreachable(struct feed *f, const struct session *augment) {
  if (f->said_unreachable) return;
  f->said_unreachable = true;
  log_warn(
      "augment worker %s can dial none of the decode workers, which serve their own machine; start one there "
      "(--decode 1 --dataset ...), or let those elsewhere --serve tcp://0.0.0.0:PORT with --key",
      augment->worker);
}

static void send_decoders(struct feed *f, struct session *to) {
  char endpoints[DECODERS_MAX][ENDPOINT_MAX + 1];
  struct text texts[DECODERS_MAX], keys[DECODERS_MAX];
  uint32_t n = 0, there = 0;
  for (size_t i = 0; i < f->server.n && n < DECODERS_MAX; i++) {
    const struct session *s = f->server.sessions[i];
    if (strcmp(s->role, "decode") != 0 || s->silent) continue;
    there++;
    if (!choose(f, s, to, endpoints[n], sizeof endpoints[n])) continue;
    texts[n] = text_of(endpoints[n]);
    keys[n] = text_of(endpoint_is_tcp(endpoints[n]) ? s->key : "");
    n++;
  }
  if (there && !n) say_unreachable(f, to);
  struct message m = {.kind = MESSAGE_DECODERS, .decoders = {texts, n}, .keys = {keys, n}};
  /* The list is not sent again by itself: a worker that missed one would miss the decode workers in it. */
  if (server_send(&f->server, to, &m, NULL, 0, 0) == E_AGAIN) f->decoders_changed = true;
}

static void send_allowed(struct feed *f, struct session *to, const struct texts *keys) {
  struct message m = {.kind = MESSAGE_ALLOWED, .keys = *keys};
  if (server_send(&f->server, to, &m, NULL, 0, 0) == E_AGAIN) f->decoders_changed = true;
}

void feed_roster_spread(struct feed *f) {
  struct guard *guard = f->server.guard;
  uint64_t version = guard ? guard_version(guard) : 0;
  if (!f->decoders_changed && version == f->keys_sent) return;
  f->decoders_changed = false;
  f->keys_sent = version;
  char hex[KEYS_MAX][KEY_HEX + 1];
  struct text texts[KEYS_MAX];
  struct texts keys = {texts, guard ? (uint32_t)guard_list(guard, hex, KEYS_MAX) : 0};
  for (uint32_t i = 0; i < keys.count; i++) texts[i] = text_of(hex[i]);
  for (size_t i = f->server.n; i-- > 0;) {
    struct session *s = f->server.sessions[i];
    if (strcmp(s->role, "augment") == 0)
      send_decoders(f, s);
    else if (s->key[0])
      send_allowed(f, s, &keys);
  }
}
