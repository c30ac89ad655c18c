#include "wire/serving.h"

#include <stdio.h>

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
     "endpoint where augment workers fetch shards; repeat for several (default: a private ipc one, for those "
     "of this "
     "machine)"},
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
  char private[ENDPOINT_MAX + 1];
  const char *fallback = private;
  struct listening *l = &out->listening;
  enum status st = OK;
  *out = (struct serving){.key = ""};
  if (!options->serve.count) TRY(endpoint_private("decode", private, sizeof private));
  const struct listen_options listen = {.endpoints = options->serve.count ? options->serve.items : &fallback,
                                        .n = options->serve.count ? options->serve.count : 1,
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
