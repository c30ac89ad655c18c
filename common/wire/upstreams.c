#include "wire/upstreams.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Largest frame of a decoded shard. */
static const int64_t payload_max = (int64_t)1 << 30;

static void hang_up(struct upstreams *all, int i) {
  link_close(&all->at[i]->link, "not needed any more");
  free(all->at[i]);
  all->at[i] = all->at[--all->n];
}

static enum status dial(struct upstreams *all, void *context, const char *endpoint,
                        const struct message *hello, struct drops *drops) {
  struct upstream *u = calloc(1, sizeof *u);
  if (!u) return fail(E_MEMORY, "out of memory");
  enum status st = link_open(&u->link, context, endpoint, payload_max, hello, drops);
  if (st != OK) {
    link_close(&u->link, "");
    free(u);
    return st;
  }
  u->link.reads_memory = all->reads_memory;
  u->number = ++all->opened;
  all->at[all->n++] = u;
  log_info("takes decoded shards from %s", endpoint);
  return OK;
}

static bool is_listed(const struct texts *endpoints, const char *endpoint) {
  for (uint32_t k = 0; k < endpoints->count; k++)
    if (text_is(endpoints->at[k], endpoint)) return true;
  return false;
}

static bool is_dialled(const struct upstreams *all, struct text endpoint) {
  for (int i = 0; i < all->n; i++)
    if (text_is(endpoint, all->at[i]->link.endpoint)) return true;
  return false;
}

void upstreams_follow(struct upstreams *all, void *context, const struct texts *endpoints,
                      const struct message *hello, struct drops *drops) {
  for (int i = all->n; i-- > 0;)
    if (!is_listed(endpoints, all->at[i]->link.endpoint)) hang_up(all, i);
  for (uint32_t k = 0; k < endpoints->count && all->n < UPSTREAMS_MAX; k++) {
    char endpoint[ENDPOINT_MAX + 1];
    text_copy(endpoints->at[k], endpoint, sizeof endpoint);
    if (!is_dialled(all, endpoints->at[k]) && dial(all, context, endpoint, hello, drops) != OK)
      log_warn("%s", fail_message());
  }
}

void upstreams_close(struct upstreams *all) {
  while (all->n) hang_up(all, 0);
}
