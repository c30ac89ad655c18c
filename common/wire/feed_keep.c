/* Tickets on disk: DIR/STEP-SHARD.ticket is the body of one, from which tandem-augment replay makes its shard again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "wire/feed_impl.h"

enum { PATH_ROOM = ENDPOINT_MAX + 64 };

enum status feed_keep_open(struct feed *f, const char *ledger) {
  const char *slash = ledger ? strrchr(ledger, '/') : NULL;
  int n = 0;
  if (f->options.tickets)
    n = snprintf(f->tickets, sizeof f->tickets, "%s", f->options.tickets);
  else if (ledger)
    n = snprintf(f->tickets, sizeof f->tickets, "%.*stickets", slash ? (int)(slash + 1 - ledger) : 0, ledger);
  if (n < (int)sizeof f->tickets) return OK;
  f->tickets[0] = '\0'; /* too long a name for what nobody asked for */
  return f->options.tickets ? fail(E_ARG, "--tickets: the name is too long") : OK;
}

static enum status keep(const struct feed *f, uint64_t step, uint64_t shard, const void *body, size_t size,
                        char path[PATH_ROOM]) {
  snprintf(path, PATH_ROOM, "%s/%" PRIu64 "-%" PRIu64 ".ticket", f->tickets, step, shard);
  enum status st = file_make_folder(f->tickets);
  return st == OK ? file_write(path, body, size) : st;
}

enum status feed_keep_tickets(struct feed *f) {
  const struct batch *b = window_batch(&f->window, f->window.next);
  char path[PATH_ROOM];
  enum status st = OK;
  for (int64_t k = 0; st == OK && k < b->n_shards; k++)
    st = keep(f, (uint64_t)b->view.step, (uint64_t)k, b->shards[k].body, b->shards[k].body_size, path);
  return st;
}

void feed_stop_for_shard(struct feed *f, uint64_t step, uint64_t shard, const void *body, size_t size) {
  char why[800], path[PATH_ROOM];
  snprintf(why, sizeof why, "%s", fail_message());
  bool kept = f->tickets[0] && keep(f, step, shard, body, size, path) == OK;
  if (kept)
    fail(E_PEER, "%s; to make it alone: tandem-augment replay --ticket %s --dataset %s", why, path,
         f->options.dataset);
  else
    fail(E_PEER, "%s", why);
  feed_stop_run(f, E_PEER);
}
