/* The consumer's thread: opening, waiting for batches, giving them back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/endpoint.h"
#include "wire/feed_impl.h"

const struct opt feed_opts[] = {
    {"dataset", OPT_STR, offsetof(struct feed_options, dataset), NULL, "dataset made by tandem-ingest",
     .required = true},
    {"listen", OPT_LIST, offsetof(struct feed_options, listen), NULL,
     "endpoint for the workers, e.g. ipc:///tmp/run/feed or tcp://0.0.0.0:5555; repeat for several (default: "
     "a "
     "private ipc one, in the log)"},
    {"key", OPT_STR, offsetof(struct feed_options, key), NULL,
     "key file (scripts/tandem keygen); TCP is then encrypted, ipc is plain in any case"},
    {"allow", OPT_STR, offsetof(struct feed_options, allow), NULL,
     "public keys of the workers that may connect, read again when it changes; required with --key"},
    {"insecure", OPT_BOOL, offsetof(struct feed_options, insecure), NULL,
     "allow --listen without --key at a TCP address that other machines can reach"},
    {"shared-memory", OPT_BOOL, offsetof(struct feed_options, shared_memory), "true",
     "read batches that workers of this machine have in shared memory; otherwise they come through sockets"},
    {"shard", OPT_INT, offsetof(struct feed_options, shard), "32", "most images per ticket, an even number"},
    {"window", OPT_INT, offsetof(struct feed_options, window), "3", "batches in memory"},
    {"memory", OPT_INT, offsetof(struct feed_options, memory), "4096",
     "MiB that the batches in memory may have; there are fewer than --window if they would have more"},
    {"lease-ms", OPT_INT, offsetof(struct feed_options, lease_ms), "10000",
     "a shard that is not back after this time, or earlier if that is unusually long, is handed out again"},
    {"tickets", OPT_STR, offsetof(struct feed_options, tickets), NULL,
     "folder to write the ticket of every consumed shard to, for tandem-augment replay (default: only of "
     "those that "
     "stop the run, in tickets/ beside the ledger)"},
    {"worker-wait-s", OPT_FLOAT, offsetof(struct feed_options, worker_wait_s), "60",
     "give up when there has been no decode or no augment worker for this long"},
    {0}};

static void wake(struct feed *f) {
  uint64_t one = 1;
  if (write(f->wake, &one, sizeof one) < 0) log_debug("eventfd: %s", strerror(errno));
}

static enum status check_options(const struct feed_options *o, const struct feed_plan *plan) {
  if (!o->dataset) return fail(E_ARG, "--dataset is required");
  if (o->lease_ms < 10 || o->lease_ms > 86400000)
    return fail(E_ARG, "--lease-ms must be from 10 to 86400000");
  if (o->key && !o->allow)
    return fail(E_ARG,
                "--key needs --allow FILE, the public keys that may connect; without it anybody could: "
                "scripts/tandem keygen makes both");
  if (o->allow && !o->key) return fail(E_ARG, "--allow needs --key FILE; scripts/tandem keygen makes both");
  if (o->memory < 1 || o->memory > 1 << 24) return fail(E_ARG, "--memory must be from 1 to %d MiB", 1 << 24);
  if (!(o->worker_wait_s > 0)) return fail(E_ARG, "--worker-wait-s must be positive");
  if (!plan->run || strlen(plan->run) > RUN_NAME_MAX)
    return fail(E_ARG, "a run's name has at most %d bytes", RUN_NAME_MAX);
  return OK;
}

/* How many batches the window has, by --window and --memory. */
static enum status fit_window(const struct feed_options *o, const struct feed_plan *plan, int64_t *size,
                              double *mib) {
  struct policy *policy = NULL;
  enum status st = policy_parse(&policy, plan->policy);
  if (st != OK) return st;
  int64_t image = 0;
  for (int v = 0; v < policy_views(policy); v++)
    image += (int64_t)policy_view_size(policy, v) * policy_view_size(policy, v) * 3 +
             (int64_t)(policy_params(policy, v, NULL) * sizeof(float));
  policy_close(&policy);
  *mib = (double)image * (double)plan->batch / (1 << 20);
  *size = o->window;
  if (*mib * (double)*size > (double)o->memory) *size = (int64_t)((double)o->memory / *mib);
  if (*size < 1)
    return fail(E_ARG, "one batch has %.0f MiB and --memory is %lld; raise it, or lower --batch", *mib + 1,
                (long long)o->memory);
  return OK;
}

static enum status bind_socket(struct feed *f) {
  const struct feed_options *o = &f->options;
  char private[ENDPOINT_MAX + 1];
  const char *fallback = private;
  struct keys keys = {0};
  enum status st = OK;
  if (!o->listen.count) TRY(endpoint_private("feed", private, sizeof private));
  if (o->key) TRY(keys_read(&keys, o->key));
  int64_t largest = window_shard_bytes(&f->window);
  const struct listen_options listen = {.endpoints = o->listen.count ? o->listen.items : &fallback,
                                        .n = o->listen.count ? o->listen.count : 1,
                                        .max_frame = largest > FRAME_MAX * 4 ? largest : FRAME_MAX * 4,
                                        .where = "consumer socket",
                                        .insecure = o->insecure,
                                        .keys = o->key ? &keys : NULL,
                                        .allow = o->allow};
  TRY(listen_open(&f->listening, f->context, &listen));
  feed_serve_open(f);
out:
  explicit_bzero(&keys, sizeof keys);
  return st;
}

static enum status start_thread(struct feed *f) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  f->has_lock = true;
  f->roles_seen_ms = clock_ms();
  int error = pthread_create(&f->thread, NULL, feed_serve, f);
  if (error) return fail(E_IO, "cannot start a thread: %s", strerror(error));
  f->has_thread = true;
  return OK;
}

enum status feed_open(struct feed **out, const struct feed_options *options, const struct feed_plan *plan) {
  *out = NULL;
  struct feed *f = calloc(1, sizeof *f);
  if (!f) return fail(E_MEMORY, "out of memory");
  f->options = *options;
  f->wake = -1;
  f->hedge_credit = 2 * HEDGE_SHARE;
  enum status st = OK;
  TRY(check_options(options, plan));
  snprintf(f->run, sizeof f->run, "%s", plan->run);
  if (getrandom(&f->incarnation, sizeof f->incarnation, 0) != sizeof f->incarnation)
    TRY(fail(E_IO, "no random numbers: %s", strerror(errno)));
  f->incarnation >>= 11; /* 53 bits: what every JSON reader keeps */
  f->names = calloc(SESSIONS_MAX, sizeof *f->names);
  if (!f->names) TRY(fail(E_MEMORY, "out of memory"));
  pace_open(&f->pace, options->lease_ms);
  TRY(self_test(f->check));
  TRY(dataset_open(&f->dataset, options->dataset));
  int64_t size = 0;
  double mib = 0;
  TRY(fit_window(options, plan, &size, &mib));
  TRY(window_open(&f->window, f->dataset, plan, options->shard, size));
  endpoint_machine(f->machine);
  TRY(listen_context(&f->context, options->key != NULL));
  f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (f->wake < 0) TRY(fail(E_IO, "cannot start the feed: %s", strerror(errno)));
  TRY(bind_socket(f));
  TRY(feed_keep_open(f, plan->ledger));
  if (plan->ledger) TRY(ledger_open(&f->ledger, plan->ledger, plan->first_step));
  TRY(start_thread(f));
  for (size_t i = 0; i < f->listening.n; i++)
    log_info("run '%s' waits for workers at %s; %lld batches of %.1f MiB in memory", f->run,
             f->listening.endpoints[i], (long long)size, mib);
  *out = f;
  return OK;
out:
  feed_close(&f);
  return st;
}

void feed_close(struct feed **feed) {
  struct feed *f = *feed;
  if (!f) return;
  if (f->has_thread) {
    pthread_mutex_lock(&f->lock);
    f->closing = true;
    pthread_mutex_unlock(&f->lock);
    wake(f);
    pthread_join(f->thread, NULL);
  }
  server_close(&f->server, "the run is over"); /* when the thread never started */
  listen_close(&f->listening);
  if (f->has_lock) {
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
  }
  listen_context_close(&f->context);
  if (f->wake >= 0) close(f->wake);
  ledger_close(&f->ledger);
  window_close(&f->window);
  dataset_close(&f->dataset);
  free(f->names);
  free(f);
  *feed = NULL;
}

int64_t feed_steps_per_epoch(const struct feed *feed) { return feed->window.per_epoch; }
int64_t feed_last_step(const struct feed *feed) { return feed->window.last_step; }
const struct dataset_info *feed_dataset(const struct feed *feed) { return feed->window.dataset; }

const char *feed_endpoint(const struct feed *feed, size_t i) {
  return i < feed->listening.n ? feed->listening.endpoints[i] : NULL;
}

enum status feed_stay(struct feed_place *place, struct feed_options *options, const struct feed *feed) {
  size_t n = 0;
  feed_place_free(place);
  for (const char *endpoint; n < FEED_ENDPOINTS_MAX && (endpoint = feed_endpoint(feed, n)); n++)
    if (!(place->endpoints[n] = strdup(endpoint))) return fail(E_MEMORY, "out of memory");
  options->listen = (struct cli_list){.items = (const char **)place->endpoints, .count = n};
  return OK;
}

void feed_place_free(struct feed_place *place) {
  for (size_t i = 0; i < FEED_ENDPOINTS_MAX; i++) free(place->endpoints[i]);
  *place = (struct feed_place){0};
}

/* The address to name: a TCP one rather than a path, since whoever has both wants workers of other machines. */
static enum status no_workers(const struct feed *f) {
  const char *role = feed_has_role(f, "decode") ? "augment" : "decode", *at = f->listening.endpoints[0];
  for (size_t i = 0; i < f->listening.n && !endpoint_is_tcp(at); i++) at = f->listening.endpoints[i];
  return fail(E_PEER, "no %s worker has been at %s for %.0f s; start one: tandem-%s --connect %s%s", role, at,
              f->options.worker_wait_s, role, at, strcmp(role, "decode") == 0 ? " --dataset ..." : "");
}

/* Locked. Waits until batch `next` is complete. */
static enum status await_batch(struct feed *f) {
  const struct batch *b = &f->window.batches[f->window.next % f->window.size];
  while (b->done < b->n_shards) {
    if (f->failure != OK) return fail(f->failure, "%s", f->failure_text);
    if (stop_requested())
      return fail(E_INTERRUPTED, "interrupted while waiting for step %" PRId64, b->view.step);
    if ((double)(clock_ms() - f->roles_seen_ms) > f->options.worker_wait_s * 1000) return no_workers(f);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&f->changed, &f->lock, &until);
    feed_report_wait(f);
  }
  return f->failure == OK ? OK : fail(f->failure, "%s", f->failure_text);
}

enum status feed_next(struct feed *f, const struct feed_batch **batch) {
  *batch = NULL;
  if (f->taken) return fail(E_ARG, "feed_next before feed_release");
  pthread_mutex_lock(&f->lock);
  f->wait_began_ns = clock_ns();
  if (!f->asked_ns) f->asked_ns = f->wait_began_ns;
  enum status st =
      f->window.next < f->window.last_step ? await_batch(f) : fail(E_NOT_FOUND, "no step after the last");
  if (st == OK) {
    f->taken = true;
    *batch = &f->window.batches[f->window.next % f->window.size].view;
  }
  f->waited_ns += clock_ns() - f->wait_began_ns;
  f->wait_began_ns = 0;
  pthread_mutex_unlock(&f->lock);
  return st;
}

enum status feed_release(struct feed *f) {
  if (!f->taken) return fail(E_ARG, "feed_release without feed_next");
  pthread_mutex_lock(&f->lock);
  struct ledger_line line = window_line(&f->window);
  enum status st = f->options.tickets ? feed_keep_tickets(f) : OK;
  if (st == OK) st = window_advance(&f->window);
  f->taken = false;
  pthread_mutex_unlock(&f->lock);
  wake(f);
  return st == OK && f->ledger ? ledger_append(f->ledger, &line) : st;
}

enum status feed_sync(struct feed *f) { return f->ledger ? ledger_sync(f->ledger) : OK; }

struct feed_counters feed_count(struct feed *f) {
  pthread_mutex_lock(&f->lock);
  struct feed_counters c = f->count;
  c.refused = f->listening.guard ? guard_refused(f->listening.guard) : 0;
  c.dropped = drops_total(&f->server.drops);
  pthread_mutex_unlock(&f->lock);
  return c;
}
