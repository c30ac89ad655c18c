/* count: the smallest consumer. Opens a feed, counts images, writes the ledger, prints one JSON line. The
 * flow tests compare its ledgers, the benchmark its rate. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "image/isa.h"
#include "transform/policy.h"
#include "wire/feed.h"

struct options {
  struct isa_options isa;
  struct feed_options feed;
  struct cli_list splits;
  const char *policy, *ledger, *run;
  int64_t size, batch, seed, first_step, steps, sleep_ms;
  bool shuffle;
};

static const struct opt opts[] = {
    {.name = "feed", .type = OPT_TABLE, .offset = offsetof(struct options, feed), .sub = feed_opts},
    {"splits", OPT_LIST, offsetof(struct options, splits), NULL, "splits to join (default: train)"},
    {"policy", OPT_STR, offsetof(struct options, policy), "cifar", "policy preset or file"},
    {"size", OPT_INT, offsetof(struct options, size), "32", "pixels of a view's side"},
    {"batch", OPT_INT, offsetof(struct options, batch), "64", "images per step"},
    {"seed", OPT_INT, offsetof(struct options, seed), "7", "seed of shuffle and transformations"},
    {"first-step", OPT_INT, offsetof(struct options, first_step), "0", "step to begin with"},
    {"steps", OPT_INT, offsetof(struct options, steps), "-1", "steps in all, from 0; -1: one pass"},
    {"sleep-ms", OPT_INT, offsetof(struct options, sleep_ms), "0", "pretend to work this long on a step"},
    {"shuffle", OPT_BOOL, offsetof(struct options, shuffle), "true", "a permutation per epoch"},
    {"ledger", OPT_STR, offsetof(struct options, ledger), NULL, "file for the ledger"},
    {"isa", OPT_TABLE, offsetof(struct options, isa), .sub = isa_opts},
    {"run", OPT_STR, offsetof(struct options, run), "count", "name of the run"},
    {0}};

struct tally {
  int64_t steps, images;
  double first_s, last_s; /* when the first and the last batch came */
};

static enum status consume(struct feed *feed, const struct options *o, struct tally *t,
                           struct progress *progress) {
  for (;;) {
    const struct feed_batch *b;
    enum status st = feed_next(feed, &b);
    if (st == E_NOT_FOUND) return OK;
    if (st != OK) return st;
    t->last_s = clock_s();
    if (t->steps++ == 0)
      t->first_s = t->last_s;
    else
      t->images += b->n; /* those of the first batch were made before the clock started */
    if (o->sleep_ms) clock_sleep_ms(o->sleep_ms);
    if (stop_requested()) return fail(E_INTERRUPTED, "interrupted at step %" PRId64, b->step);
    st = feed_release(feed);
    if (st != OK) return st;
    if (cli_progress_path()) feed_report(feed, progress);
    progress_set(progress, t->steps, NULL);
  }
}

static void print(struct feed *feed, const struct tally *t) {
  struct feed_counters c = feed_count(feed);
  double seconds = t->last_s - t->first_s;
  printf("{\"steps\": %" PRId64 ", \"images_per_s\": %.1f, \"seconds\": %.3f, \"shards\": %" PRIu64
         ", \"reissued\": %" PRIu64 ", \"hedged\": %" PRIu64 ", \"duplicates\": %" PRIu64
         ", \"failed\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"refused\": %" PRIu64 "}\n",
         t->steps, seconds > 0 ? (double)t->images / seconds : 0, seconds, c.shards, c.reissued, c.hedged,
         c.duplicates, c.failed, c.dropped, c.refused);
}

static enum status run(void *state) {
  const struct options *o = state;
  static const char *const train[] = {"train"};
  struct policy *policy = NULL;
  struct feed *feed = NULL;
  struct progress *progress = NULL;
  struct tally tally = {0};
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(isa_select(o->isa.isa));
  TRY(policy_load(&policy, o->policy, (int32_t)o->size));
  struct feed_plan plan = {.run = o->run,
                           .splits = o->splits.count ? o->splits.items : train,
                           .n_splits = o->splits.count ? o->splits.count : 1,
                           .policy = policy_json(policy),
                           .seed = (uint64_t)o->seed,
                           .batch = o->batch,
                           .shuffle = o->shuffle,
                           .first_step = o->first_step,
                           .last_step = o->steps,
                           .ledger = o->ledger};
  TRY(feed_open(&feed, &o->feed, &plan));
  TRY(progress_open(&progress, "count", "steps", feed_last_step(feed) - o->first_step));
  TRY(consume(feed, o, &tally, progress));
  progress_close(&progress);
  print(feed, &tally);
out:
  progress_abort(&progress);
  feed_close(&feed);
  policy_close(&policy);
  return st;
}

int main(int argc, char **argv) {
  const struct command commands[] = {
      {NULL, "consumes batches and counts", sizeof(struct options), opts, NULL, run}, {0}};
  const struct program program = {"count", "the smallest consumer of the data plane", commands};
  return cli_main(&program, argc, argv);
}
