#include "wire/upstreams.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/endpoint.h"

/* Largest frame of a decoded shard. */
static const int64_t payload_max = (int64_t)1 << 30;

static void hang_up(struct upstreams *all, int i) {
  link_close(&all->at[i]->link, "not needed any more");
  free(all->at[i]);
  all->at[i] = all->at[--all->n];
}

/* An entry of the list as this process dials it. */
struct target {
  char endpoint[ENDPOINT_MAX + 1];
  struct key key;
  bool has_key;
};

static enum status read_target(const struct upstreams_dial *with, const struct message *list, uint32_t i,
                               struct target *out) {
  char endpoint[ENDPOINT_MAX + 1];
  text_copy(list->decoders.at[i], endpoint, sizeof endpoint);
  struct text key = i < list->keys.count ? list->keys.at[i] : text_of("");
  *out = (struct target){.has_key = key.size > 0};
  if (out->has_key && !key_from_hex(key, &out->key))
    return fail(E_FORMAT, "the key of decode worker %s is none", endpoint);
  enum status st = endpoint_resolve(endpoint, with->consumer, out->endpoint, sizeof out->endpoint);
  if (st != OK || endpoint_is_ipc(out->endpoint) || out->has_key == (with->keys != NULL)) return st;
  return fail(
      E_ARG,
      with->keys ? "decode worker %s has no key, but this worker has: nothing is sent in plain; give it --key"
                 : "decode worker %s asks for a key, and this worker has none: give --key",
      out->endpoint);
}

static bool is_target(const struct upstream *u, const struct target *t) {
  return strcmp(u->link.endpoint, t->endpoint) == 0 &&
         (!u->link.has_keys || !t->has_key || key_equal(&u->link.keys.server, &t->key));
}

static enum status dial(struct upstreams *all, const struct upstreams_dial *with, const struct target *t) {
  struct upstream *u = calloc(1, sizeof *u);
  if (!u) return fail(E_MEMORY, "out of memory");
  struct keys keys = {0};
  if (t->has_key && with->keys) {
    keys = *with->keys;
    keys.server = t->key;
    keys.has_server = true;
  }
  enum status st = link_open(&u->link, with->context, t->endpoint, payload_max, with->hello, with->drops,
                             keys.has_server ? &keys : NULL);
  explicit_bzero(&keys, sizeof keys);
  if (st != OK) {
    link_close(&u->link, "");
    free(u);
    return st;
  }
  u->link.reads_memory = all->reads_memory;
  u->number = ++all->opened;
  all->at[all->n++] = u;
  log_info("takes decoded shards from %s", t->endpoint);
  return OK;
}

void upstreams_follow(struct upstreams *all, const struct upstreams_dial *with, const struct message *list) {
  bool wanted[UPSTREAMS_MAX] = {false};
  int n = all->n;
  for (uint32_t k = 0; k < list->decoders.count && k < UPSTREAMS_MAX; k++) {
    struct target t;
    enum status st = read_target(with, list, k, &t);
    int i = 0;
    while (st == OK && i < all->n && !is_target(all->at[i], &t)) i++;
    if (st == OK && i < n) wanted[i] = true;
    if (st == OK && i == all->n && all->n < UPSTREAMS_MAX) st = dial(all, with, &t);
    if (st != OK) log_warn("%s", fail_message());
  }
  for (int i = n; i-- > 0;) /* from the end: hanging up moves the last one here */
    if (!wanted[i]) hang_up(all, i);
}

void upstreams_close(struct upstreams *all) {
  while (all->n) hang_up(all, 0);
}
