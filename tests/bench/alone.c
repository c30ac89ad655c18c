/* alone: the work of decode, augment and a counting consumer in one process, without a message between them. Prints the
 * CPU time per image of each part as one JSON line and may write the ledger, which must be the one of a run with
 * workers: what those need beyond this is what transport costs (docs/benchmarks.md). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "augment/augment.h"
#include "base/cli.h"
#include "decode/decode.h"
#include "image/isa.h"
#include "wire/window.h"
#include "wire/work.h"

struct options {
  struct isa_options isa;
  struct cli_list datasets;
  const char *policy, *ledger;
  int64_t size, batch, shard, seed, steps;
};

static const struct opt opts[] = {
    {"dataset", OPT_LIST, offsetof(struct options, datasets), NULL, "dataset made by tandem-ingest",
     .required = true},
    {"policy", OPT_STR, offsetof(struct options, policy), "imagenet", "policy preset or file"},
    {"size", OPT_INT, offsetof(struct options, size), "224", "pixels of a view's side"},
    {"batch", OPT_INT, offsetof(struct options, batch), "64", "images per step"},
    {"shard", OPT_INT, offsetof(struct options, shard), "32", "most images per shard, an even number"},
    {"seed", OPT_INT, offsetof(struct options, seed), "7", "seed of shuffle and transformations"},
    {"steps", OPT_INT, offsetof(struct options, steps), "20", "steps"},
    {"ledger", OPT_STR, offsetof(struct options, ledger), NULL, "file for the ledger"},
    {"isa", OPT_TABLE, offsetof(struct options, isa), .sub = isa_opts},
    {0}};

enum part { DECODE, AUGMENT, TAKE, HASH, PARTS };

struct alone {
  struct decode decode;
  struct augment augment;
  struct window window;
  struct slots slots;
  struct drops drops;
  double cpu_s[PARTS];
  int64_t images;
};

static double cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void spend(struct alone *a, enum part part, double *since) {
  double now = cpu_s();
  a->cpu_s[part] += now - *since;
  *since = now;
}

/* A message that was never sent: the ticket, or what `from` has become, with the pixels where they are. */
static enum status hand_over(enum message_kind kind, const struct shard *shard, const struct work *from,
                             struct packet **out) {
  struct packet *p = *out = calloc(1, sizeof *p);
  if (!p) return fail(E_MEMORY, "out of memory");
  for (p->n = 0; p->n < message_frames(kind); p->n++) zmq_msg_init(&p->frame[p->n]);
  if (zmq_msg_init_size(&p->frame[FRAME_BODY], shard->body_size) != 0) return fail(E_MEMORY, "out of memory");
  memcpy(zmq_msg_data(&p->frame[FRAME_BODY]), shard->body, shard->body_size);
  if (from) p->head = from->output;
  p->head.kind = kind;
  if (from) p->pixels = (struct payload){slot_payload(from->slot), from->slot->bytes};
  if (from && kind == MESSAGE_AUGMENTED)
    zmq_msg_copy(&p->frame[FRAME_PARAMS], (zmq_msg_t *)(uintptr_t)&from->frames[FRAME_PARAMS]);
  return OK;
}

/* Opens work on a message and does it. */
static enum status do_work(struct alone *a, enum status (*stage)(void *, struct work *), void *state,
                           struct packet **packet, struct work **out) {
  *out = work_open(NULL, &a->drops, packet, 0);
  if (!*out) return fail(E_MEMORY, "a ticket cannot be read back");
  (*out)->slots = &a->slots;
  enum status st = stage(state, *out);
  if (st == OK && !(*out)->slot) return fail(E_MEMORY, "no shared memory for a shard");
  return st;
}

static enum status do_shard(struct alone *a, const struct shard *shard) {
  struct packet *ticket = NULL, *decoded = NULL, *augmented = NULL;
  struct work *decode = NULL, *augment = NULL;
  struct arrival arrival;
  double since = cpu_s();
  enum status st = OK;
  TRY(hand_over(MESSAGE_TICKET, shard, NULL, &ticket));
  TRY(do_work(a, decode_shard, &a->decode, &ticket, &decode));
  spend(a, DECODE, &since);
  TRY(hand_over(MESSAGE_DECODED, shard, decode, &decoded));
  TRY(do_work(a, augment_shard, &a->augment, &decoded, &augment));
  spend(a, AUGMENT, &since);
  TRY(hand_over(MESSAGE_AUGMENTED, shard, augment, &augmented));
  if (window_accept(&a->window, augmented, 1, &arrival) != ACCEPTED_NEW) TRY(fail(E_FORMAT, "not accepted"));
  spend(a, TAKE, &since);
  /* Once more: hashed and compared only. */
  if (window_accept(&a->window, augmented, 1, &arrival) != ACCEPTED_SAME) TRY(fail(E_FORMAT, "not the same"));
  spend(a, HASH, &since);
out:
  packet_free(&ticket);
  packet_free(&decoded);
  packet_free(&augmented);
  work_free(augment);
  work_free(decode);
  return st;
}

static enum status do_steps(struct alone *a, const struct options *o, struct ledger *ledger) {
  for (int64_t step = 0; step < o->steps; step++) {
    const struct batch *b = window_batch(&a->window, step);
    for (int64_t k = 0; k < b->n_shards; k++) {
      enum status st = do_shard(a, &b->shards[k]);
      if (st != OK) return st;
    }
    a->images += b->view.n;
    struct ledger_line line = window_line(&a->window);
    enum status st = ledger ? ledger_append(ledger, &line) : OK;
    if (st == OK) st = window_advance(&a->window);
    if (st != OK) return st;
  }
  return OK;
}

static enum status run(void *state) {
  const struct options *o = state;
  static const char *const train[] = {"train"};
  struct alone a = {.drops = {.where = "alone"}};
  struct policy *policy = NULL;
  struct ledger *ledger = NULL;
  enum status st = OK;
  TRY(isa_select(o->isa.isa));
  TRY(policy_load(&policy, o->policy, (int32_t)o->size));
  struct feed_plan plan = {.run = "alone",
                           .splits = train,
                           .n_splits = 1,
                           .policy = policy_json(policy),
                           .seed = (uint64_t)o->seed,
                           .batch = o->batch,
                           .shuffle = true,
                           .last_step = o->steps};
  TRY(decode_open(&a.decode, &o->datasets, 1));
  TRY(augment_open(&a.augment, 1));
  TRY(window_open(&a.window, a.decode.datasets[0], &plan, o->shard, 1));
  if (o->ledger) TRY(ledger_open(&ledger, o->ledger, 0));
  slots_open(&a.slots, SLOTS_BYTES_MAX);
  TRY(do_steps(&a, o, ledger));
  double us = 1e6 / (double)a.images;
  printf("{\"images\": %" PRId64 ", \"decode_us\": %.1f, \"augment_us\": %.1f, \"copy_and_hash_us\": %.1f, "
         "\"hash_us\": %.1f}\n",
         a.images, a.cpu_s[DECODE] * us, a.cpu_s[AUGMENT] * us, a.cpu_s[TAKE] * us, a.cpu_s[HASH] * us);
out:
  slots_close(&a.slots);
  ledger_close(&ledger);
  window_close(&a.window);
  augment_close(&a.augment);
  decode_close(&a.decode);
  policy_close(&policy);
  return st;
}

int main(int argc, char **argv) {
  const struct command commands[] = {
      {NULL, "does the work of a pipeline in one process", sizeof(struct options), opts, NULL, run}, {0}};
  const struct program program = {"alone", "decode, augment and consume without messages", commands};
  return cli_main(&program, argc, argv);
}
