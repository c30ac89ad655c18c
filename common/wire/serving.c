#include "wire/serving.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "wire/endpoint.h"

const struct opt worker_opts[] = {
    {"connect", OPT_STR, offsetof(struct worker_options, connect), NULL,
     "endpoint of the consumer (train, linear, ...)", .required = true},
    {"key", OPT_STR, offsetof(struct worker_options, key), NULL,
     "this worker's key file (scripts/tandem keygen); TCP is then encrypted, ipc is plain in any case"},
    {"connect-wait-s", OPT_FLOAT, offsetof(struct worker_options, connect_wait_s), "0",
     "leave when no consumer has let this worker in for so long; 0: wait for ever"},
    {"shared-memory", OPT_BOOL, offsetof(struct worker_options, shared_memory), "true",
     "pass pixels to processes of this machine in shared memory; otherwise they go through sockets"},
    {"memory", OPT_INT, offsetof(struct worker_options, memory), "512",
     "MiB of pixels in hand from which on it asks for no further shard; see docs/messages.md"},
    {0}};

const struct opt serve_opts[] = {
    {"serve", OPT_LIST, offsetof(struct worker_options, serve), NULL,
     "endpoint where augment workers fetch shards, best first; repeat for several (default: ipc://*, a "
     "private one for "
     "those of this machine)"},
    {"advertise", OPT_STR, offsetof(struct worker_options, advertise), NULL,
     "host name or address of this machine for other machines (default: the one from which it dials)"},
    {"insecure", OPT_BOOL, offsetof(struct worker_options, insecure), NULL,
     "allow --serve without --key at a TCP address that other machines can reach"},
    {0}};

/* An address that means every one of this machine becomes "*": the consumer knows from where it is dialled. */
static enum status name_endpoint(const char *bound, const char *advertise, char *out, size_t size) {
  if (endpoint_is_tcp(bound) && !endpoint_is_local(bound) && advertise)
    return endpoint_with_host(bound, advertise, out, size);
  if (endpoint_is_wildcard(bound)) return endpoint_with_host(bound, "*", out, size);
  snprintf(out, size, "%s", bound);
  return OK;
}

enum status serving_open(struct serving *out, void *context, const struct worker_options *options,
                         const struct keys *keys) {
  char own[ENDPOINT_MAX + 1];
  const char *endpoints[SERVE_MAX] = {own};
  struct listening *l = &out->listening;
  size_t n = options->serve.count;
  enum status st = OK;
  *out = (struct serving){.key = ""};
  TRY(endpoint_private("decode", own, sizeof own));
  if (n > SERVE_MAX) TRY(fail(E_ARG, "--serve: at most %d endpoints", SERVE_MAX));
  for (size_t i = 0; i < n; i++)
    endpoints[i] = strcmp(options->serve.items[i], "ipc://*") == 0 ? own : options->serve.items[i];
  const struct listen_options listen = {.endpoints = endpoints,
                                        .n = n ? n : 1,
                                        .max_frame = FRAME_MAX,
                                        .where = "decode socket",
                                        .insecure = options->insecure,
                                        .keys = keys};
  TRY(listen_open(l, context, &listen));
  for (size_t i = 0; i < l->n; i++) {
    TRY(name_endpoint(l->endpoints[i], options->advertise, out->names[i], sizeof out->names[i]));
    out->endpoints[i] = text_of(out->names[i]);
    log_debug("decode socket: %s, known as %s", l->endpoints[i], out->names[i]);
  }
  if (l->has_keys) key_to_hex(&keys->own, out->key);
out:
  return st;
}

void serving_close(struct serving *serving) { listen_close(&serving->listening); }
