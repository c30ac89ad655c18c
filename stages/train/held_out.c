#include "held_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "transform/policy.h"

enum { BATCH = 256 };

/* --- Choosing ------------------------------------------------------------------------------------------- */

/* Labelled images among which to choose. */
struct candidates {
  int64_t n;
  int64_t *position; /* [n] in the joined splits */
  int32_t *label;    /* [n] */
};

static void candidates_free(struct candidates *c) {
  free(c->position);
  free(c->label);
}

/* Of splits that begin at position `first`. */
static enum status find_candidates(struct candidates *c, const struct dataset *dataset,
                                   const char *const *names, size_t n_names, int64_t first) {
  int64_t most = 0;
  for (size_t s = 0; s < n_names; s++) most += dataset_split(dataset, names[s])->count;
  *c = (struct candidates){.position = malloc((size_t)(most + 1) * sizeof *c->position),
                           .label = malloc((size_t)(most + 1) * sizeof *c->label)};
  if (!c->position || !c->label)
    return fail(E_MEMORY, "out of memory for a list of %lld images", (long long)most);
  for (size_t s = 0; s < n_names; s++) {
    const struct split *split = dataset_split(dataset, names[s]);
    for (int64_t i = 0; i < split->count; i++, first++)
      if (split->entries[i].label >= 0) {
        c->position[c->n] = first;
        c->label[c->n++] = split->entries[i].label;
      }
  }
  return OK;
}

/* The positions of at most `most` candidates, equally many of each class, in a random order that depends on their
 * number alone. */
static enum status choose(int64_t *chosen, int64_t *n, const struct candidates *c, int64_t most,
                          int32_t classes) {
  int64_t *taken = calloc((size_t)classes, sizeof *taken), present = 0;
  if (!taken) return fail(E_MEMORY, "out of memory for %d classes", classes);
  for (int64_t i = 0; i < c->n; i++) present += !taken[c->label[i]]++;
  memset(taken, 0, (size_t)classes * sizeof *taken);
  int64_t quota = present && most > present ? most / present : 1;
  *n = 0;
  for (int64_t i = 0; i < c->n && *n < most; i++) {
    uint64_t at = rng_permute(0, 0, (uint64_t)c->n, (uint64_t)i);
    if (taken[c->label[at]] >= quota) continue;
    taken[c->label[at]]++;
    chosen[(*n)++] = c->position[at];
  }
  free(taken);
  return OK;
}

/* Whether there is something to choose from; says in h->why_not what is missing. */
static bool is_possible(struct held_out *h, const struct dataset *dataset, const char *const *trained,
                        size_t n_trained, const char *split) {
  const struct dataset_info *info = dataset_info(dataset);
  if (info->n_classes < 2)
    snprintf(h->why_not, sizeof h->why_not, "the dataset has no classes");
  else if (!dataset_split(dataset, split))
    snprintf(h->why_not, sizeof h->why_not, "the dataset has no split '%.100s' (--monitor-split)", split);
  for (size_t s = 0; s < n_trained && !*h->why_not; s++)
    if (strcmp(trained[s], split) == 0)
      snprintf(h->why_not, sizeof h->why_not, "split '%.100s' is trained on (--monitor-split)", split);
  return !*h->why_not;
}

enum status held_out_choose(struct held_out *h, const struct dataset *dataset, const char *const *trained,
                            size_t n_trained, const char *split, int64_t images) {
  struct candidates bank = {0}, held = {0};
  enum status st = OK;
  *h = (struct held_out){.classes = (int32_t)dataset_info(dataset)->n_classes};
  if (!is_possible(h, dataset, trained, n_trained, split)) return OK;
  int64_t first = 0;
  for (size_t s = 0; s < n_trained; s++) first += dataset_split(dataset, trained[s])->count;
  h->splits = calloc(n_trained + 1, sizeof *h->splits);
  h->chosen = malloc((size_t)(2 * images) * sizeof *h->chosen);
  if (!h->splits || !h->chosen)
    TRY(fail(E_MEMORY, "out of memory for a list of %lld images", (long long)images));
  memcpy(h->splits, trained, n_trained * sizeof *h->splits);
  h->splits[n_trained] = split;
  h->n_splits = n_trained + 1;
  TRY(find_candidates(&bank, dataset, trained, n_trained, 0));
  TRY(find_candidates(&held, dataset, &split, 1, first));
  if (!bank.n || !held.n) {
    snprintf(h->why_not, sizeof h->why_not, "%s%s%s no labels", bank.n ? "split '" : "the images trained on",
             bank.n ? split : "", bank.n ? "' has" : " have");
    goto out;
  }
  TRY(choose(h->chosen, &h->n_bank, &bank, images, h->classes));
  TRY(choose(h->chosen + h->n_bank, &h->n_held, &held, images, h->classes));
out:
  candidates_free(&bank);
  candidates_free(&held);
  if (st != OK) held_out_free(h);
  return st;
}

/* --- Fetching ------------------------------------------------------------------------------------------- */

static enum status receive(struct held_out *h, struct feed *feed, size_t image) {
  enum status st = OK;
  const struct feed_batch *b;
  for (int64_t at = 0; at < h->n_bank + h->n_held;) {
    TRY(feed_next(feed, &b));
    memcpy(h->pixels + (size_t)at * image, b->views[0].pixels, (size_t)b->n * image);
    memcpy(h->labels + at, b->labels, (size_t)b->n * sizeof *h->labels);
    at += b->n;
    TRY(feed_release(feed));
  }
out:
  return st;
}

enum status held_out_fetch(struct held_out *h, int32_t size, struct feed_options *options,
                           struct feed_place *place, struct progress *progress) {
  struct policy *policy = NULL;
  struct feed *feed = NULL;
  struct feed_options own = *options;
  enum status st = OK;
  int64_t n = h->n_bank + h->n_held;
  size_t image = (size_t)size * (size_t)size * 3;
  own.tickets = NULL; /* they are the training's, by its steps */
  h->pixels = malloc((size_t)n * image);
  h->labels = malloc((size_t)n * sizeof *h->labels);
  if (!h->pixels || !h->labels) TRY(fail(E_MEMORY, "out of memory for %lld images", (long long)n));
  TRY(policy_load(&policy, "evaluate", size));
  const struct feed_plan plan = {.run = "monitor",
                                 .splits = h->splits,
                                 .n_splits = h->n_splits,
                                 .chosen = h->chosen,
                                 .n_chosen = n,
                                 .policy = policy_json(policy),
                                 .batch = n < BATCH ? n : BATCH,
                                 .last_step = -1};
  TRY(feed_open(&feed, &own, &plan));
  feed_report_waits(feed, progress);
  TRY(receive(h, feed, image));
  TRY(feed_stay(place, options, feed));
out:
  feed_close(&feed);
  policy_close(&policy);
  return st;
}

void held_out_free(struct held_out *h) {
  free(h->chosen);
  free(h->pixels);
  free(h->labels);
  free(h->splits);
  *h = (struct held_out){0};
}
