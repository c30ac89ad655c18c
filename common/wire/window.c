#include "wire/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

enum { PAST_STEPS = 64, ALIGN = 64 };

/* A consumed shard, to compare late duplicates with. */
struct past_shard {
  uint64_t ticket; /* digest of its body */
  int64_t first, n;
  struct shard_digest digest;
  uint64_t made_by;
};

/* A consumed step: slot step % PAST_STEPS. */
struct past {
  int64_t step, n_shards;
  struct past_shard *shards;
};

static int64_t round_up(int64_t n, int64_t d) { return (n + d - 1) / d; }

/* A pair never straddles two shards, so a batch has at most this many. */
static size_t most_shards(const struct window *w) { return (size_t)round_up(w->batch, 2); }

static const struct index_entry *entry_at(const struct window *w, int64_t index) {
  size_t s = 0;
  for (; index >= w->splits[s]->count; s++) index -= w->splits[s]->count;
  return &w->splits[s]->entries[index];
}

static int64_t images_of(const struct window *w, int64_t step) {
  int64_t left = w->samples - step % w->per_epoch * w->batch;
  return left < w->batch ? left : w->batch;
}

static const struct index_entry *entry_of(const struct window *w, int64_t step, int64_t position) {
  int64_t index = step % w->per_epoch * w->batch + position;
  if (w->shuffle)
    index =
        (int64_t)rng_permute(w->seed, (uint32_t)(step / w->per_epoch), (uint64_t)w->samples, (uint64_t)index);
  return entry_at(w, w->chosen ? w->chosen[index] : index);
}

static enum status write_ticket(const struct window *w, struct batch *b, struct shard *s, int64_t number) {
  struct ticket t = {.dataset = text_of(w->dataset->fingerprint),
                     .splits = {w->split_names, (uint32_t)w->n_splits},
                     .step = (uint64_t)b->view.step,
                     .shard = (uint64_t)number,
                     .first = (uint64_t)s->first,
                     .ids = {b->ids + s->first, (uint32_t)s->n},
                     .seed = w->seed,
                     .policy = text_of(policy_json(w->policy))};
  free(s->body);
  s->body = NULL;
  return ticket_encode(&t, &s->body, &s->body_size);
}

/* Where the shard that begins at `first` ends: after --shard images, or before the pair with which the decoded images
 * would pass SHARD_BYTES, so that a few shards of photographs do not fill a worker's memory. Depends on the index alone. */
static int64_t shard_end(const struct window *w, const struct batch *b, int64_t first) {
  int64_t bytes = 0, end = first;
  while (end < b->view.n && end - first < w->shard) {
    int64_t pair = end + 2 < b->view.n ? end + 2 : b->view.n;
    for (int64_t i = end; i < pair; i++) bytes += b->decoded_bytes[i];
    if (end > first && bytes > SHARD_BYTES) break;
    end = pair;
  }
  return end;
}

/* Fills the slot of `step` with its images and tickets; empty past the last step. */
static enum status fill(struct window *w, int64_t step) {
  struct batch *b = &w->batches[step % w->size];
  b->view.step = step;
  b->view.n = step < w->last_step ? images_of(w, step) : 0;
  b->n_shards = 0;
  b->done = 0;
  for (int64_t i = 0; i < b->view.n; i++) {
    const struct index_entry *e = entry_of(w, step, i);
    b->ids[i] = e->id;
    b->labels[i] = e->label;
    b->decoded_bytes[i] = (int64_t)e->width * e->height * 3;
  }
  for (int64_t first = 0; first < b->view.n;) {
    struct shard *s = &b->shards[b->n_shards];
    int64_t end = shard_end(w, b, first);
    *s = (struct shard){.body = s->body, .first = first, .n = end - first};
    for (int64_t i = first; i < end; i++) s->cost += b->decoded_bytes[i];
    enum status st = write_ticket(w, b, s, b->n_shards++);
    if (st != OK) return st;
    first = end;
  }
  return OK;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

static void *allocate(size_t count, size_t size) {
  void *at = NULL;
  size_t bytes = count * size;
  if (posix_memalign(&at, ALIGN, bytes ? bytes : ALIGN) != 0) return NULL;
  memset(at, 0, bytes);
  return at;
}

static enum status open_batch(const struct window *w, struct batch *b) {
  size_t n = (size_t)w->batch;
  bool ok = (b->ids = allocate(n, sizeof *b->ids)) && (b->labels = allocate(n, sizeof *b->labels)) &&
            (b->decoded_bytes = allocate(n, sizeof *b->decoded_bytes)) &&
            (b->shards = allocate(most_shards(w), sizeof *b->shards));
  b->view = (struct feed_batch){
      .ids = b->ids, .labels = b->labels, .views = b->views, .n_views = policy_views(w->policy)};
  for (int v = 0; ok && v < b->view.n_views; v++) {
    int32_t size = policy_view_size(w->policy, v);
    size_t n_params = policy_params(w->policy, v, NULL);
    ok = (b->pixels[v] = allocate(n, (size_t)size * (size_t)size * 3)) &&
         (b->params[v] = allocate(n, (n_params ? n_params : 1) * sizeof(float)));
    b->views[v] = (struct feed_view){size, b->pixels[v], b->params[v], n_params};
  }
  return ok ? OK
            : fail(E_MEMORY, "out of memory for a window of %lld batches of %lld images", (long long)w->size,
                   (long long)w->batch);
}

/* Leaves of the splits' images the chosen ones. */
static enum status choose(struct window *w, const struct feed_plan *plan) {
  size_t size = (size_t)plan->n_chosen * sizeof *w->chosen;
  for (int64_t i = 0; i < plan->n_chosen; i++)
    if (plan->chosen[i] < 0 || plan->chosen[i] >= w->samples)
      return fail(E_ARG, "chosen image %lld is not among the %lld of the splits", (long long)plan->chosen[i],
                  (long long)w->samples);
  w->chosen = malloc(size ? size : 1);
  if (!w->chosen) return fail(E_MEMORY, "out of memory");
  memcpy(w->chosen, plan->chosen, size);
  w->samples = plan->n_chosen;
  return OK;
}

static enum status open_splits(struct window *w, const struct dataset *dataset,
                               const struct feed_plan *plan) {
  w->n_splits = plan->n_splits;
  w->splits = calloc(plan->n_splits, sizeof(struct split *));
  w->split_names = calloc(plan->n_splits, sizeof *w->split_names);
  if (!w->splits || !w->split_names) return fail(E_MEMORY, "out of memory");
  for (size_t i = 0; i < plan->n_splits; i++) {
    w->splits[i] = dataset_split(dataset, plan->splits[i]);
    if (!w->splits[i]) return E_NOT_FOUND;
    w->split_names[i] = text_of(w->splits[i]->name);
    w->samples += w->splits[i]->count;
  }
  if (plan->chosen) {
    enum status st = choose(w, plan);
    if (st != OK) return st;
  }
  w->per_epoch = plan->shuffle ? w->samples / plan->batch : round_up(w->samples, plan->batch);
  if (w->per_epoch > 0) return OK;
  return fail(E_ARG, "dataset '%s' has %lld images in %s%s, fewer than one batch of %lld; lower --batch",
              w->dataset->name, (long long)w->samples, plan->splits[0], plan->n_splits > 1 ? ", ..." : "",
              (long long)plan->batch);
}

static enum status check_plan(const struct feed_plan *plan, int64_t shard, int64_t size) {
  if (shard < 2 || shard > SHARD_IMAGES || shard % 2)
    return fail(E_ARG, "--shard must be an even number from 2 to %d, so that no pair straddles two shards",
                SHARD_IMAGES);
  if (size < 1 || size > 64) return fail(E_ARG, "--window must be from 1 to 64 batches");
  if (plan->batch < 1 || plan->batch > 1 << 20)
    return fail(E_ARG, "a batch must have from 1 to %d images", 1 << 20);
  if (plan->n_splits < 1 || plan->n_splits > 64) return fail(E_ARG, "name from 1 to 64 splits");
  if (plan->first_step < 0 || plan->last_step > UINT32_MAX)
    return fail(E_ARG, "steps must be from 0 to 2^32-1");
  return OK;
}

enum status window_open(struct window *w, const struct dataset *dataset, const struct feed_plan *plan,
                        int64_t shard, int64_t size) {
  *w = (struct window){.dataset = dataset_info(dataset),
                       .seed = plan->seed,
                       .shuffle = plan->shuffle,
                       .batch = plan->batch,
                       .shard = shard,
                       .size = size,
                       .next = plan->first_step};
  enum status st = OK;
  TRY(check_plan(plan, shard, size));
  TRY(policy_parse(&w->policy, plan->policy));
  TRY(open_splits(w, dataset, plan));
  w->last_step = plan->last_step < 0 ? w->per_epoch : plan->last_step;
  w->batches = calloc((size_t)size, sizeof *w->batches);
  w->past = calloc(PAST_STEPS, sizeof *w->past);
  if (!w->batches || !w->past) TRY(fail(E_MEMORY, "out of memory"));
  for (int i = 0; i < PAST_STEPS; i++) {
    w->past[i] = (struct past){-1, 0, allocate(most_shards(w), sizeof(struct past_shard))};
    if (!w->past[i].shards) TRY(fail(E_MEMORY, "out of memory"));
  }
  for (int64_t i = 0; i < size; i++) TRY(open_batch(w, &w->batches[i]));
  for (int64_t i = 0; i < size; i++) TRY(fill(w, w->next + i));
out:
  if (st != OK) window_close(w);
  return st;
}

void window_close(struct window *w) {
  for (int64_t i = 0; w->batches && i < w->size; i++) {
    struct batch *b = &w->batches[i];
    for (int64_t k = 0; b->shards && k < (int64_t)most_shards(w); k++) free(b->shards[k].body);
    for (int v = 0; v < POLICY_MAX_VIEWS; v++) {
      free(b->pixels[v]);
      free(b->params[v]);
    }
    free(b->ids);
    free(b->labels);
    free(b->decoded_bytes);
    free(b->shards);
  }
  for (int i = 0; w->past && i < PAST_STEPS; i++) free(w->past[i].shards);
  free(w->batches);
  free(w->past);
  free(w->splits);
  free(w->split_names);
  free(w->chosen);
  policy_close(&w->policy);
  *w = (struct window){0};
}

int64_t window_shard_bytes(const struct window *w) {
  int64_t bytes = 0;
  for (int v = 0; v < policy_views(w->policy); v++)
    bytes += (int64_t)policy_view_size(w->policy, v) * policy_view_size(w->policy, v) * 3 * w->shard;
  return bytes;
}

struct batch *window_batch(struct window *w, int64_t step) {
  if (step < w->next || step >= w->next + w->size || step >= w->last_step) return NULL;
  return &w->batches[step % w->size];
}

struct shard *window_shard(struct window *w, int64_t step, int64_t shard) {
  struct batch *b = window_batch(w, step);
  return b && shard < b->n_shards ? &b->shards[shard] : NULL;
}

struct cursor window_begin(const struct window *w) {
  return (struct cursor){w->next, -1, NULL};
}

bool window_each(struct window *w, struct cursor *c) {
  for (c->shard++;; c->step++, c->shard = 0) {
    if (!window_batch(w, c->step)) return false;
    c->at = window_shard(w, c->step, c->shard);
    if (c->at) return true;
  }
}

/* --- Results -------------------------------------------------------------------------------------------- */

/* An `augmented` message whose layout has been checked against the policy. */
struct result {
  const uint8_t *pixels;
  const uint64_t *offset; /* [views * n], view by view */
  const uint8_t *params;  /* [views][n][n_params of the view] f32, of any alignment */
};

static enum status check_layout(const struct window *w, struct packet *p, uint32_t n, struct result *r) {
  const struct message *m = &p->head;
  int views = policy_views(w->policy);
  uint32_t entries = n * (uint32_t)views;
  size_t size = p->pixels.size, n_params = 0;
  if (m->height.count != entries || m->width.count != entries || m->offset.count != entries ||
      (int)m->params.count != views)
    return fail(E_FORMAT, "augmented: describes another number of images than its ticket has");
  for (uint32_t i = 0; i < entries; i++) {
    uint64_t side = (uint64_t)policy_view_size(w->policy, (int)(i / n));
    if (m->height.at[i] != side || m->width.at[i] != side || m->offset.at[i] > size ||
        size - m->offset.at[i] < side * side * 3)
      return fail(E_FORMAT,
                  "augmented: image %u has another size than the policy's or lies outside its frame", i);
  }
  for (int v = 0; v < views; v++) {
    if (m->params.at[v] != policy_params(w->policy, v, NULL))
      return fail(E_FORMAT, "augmented: another number of parameters than the policy has");
    n_params += m->params.at[v] * n;
  }
  if (zmq_msg_size(&p->frame[FRAME_PARAMS]) != n_params * sizeof(float))
    return fail(E_FORMAT, "augmented: a parameter frame of another size than the policy's");
  *r = (struct result){p->pixels.at, m->offset.at, zmq_msg_data(&p->frame[FRAME_PARAMS])};
  return OK;
}

/* Digests of a result, and with `into` its pixels copied to their place, image by image while they are in the cache. */
static struct shard_digest read_pixels(const struct window *w, const struct result *r, int64_t step,
                                       int64_t first, int64_t n, const struct batch *into) {
  struct shard_hash hash;
  shard_hash_open(&hash, (uint64_t)first);
  size_t n_params = 0;
  for (int v = 0; v < policy_views(w->policy); v++) {
    size_t bytes = (size_t)policy_view_size(w->policy, v) * (size_t)policy_view_size(w->policy, v) * 3;
    for (int64_t i = 0; i < n; i++) {
      const uint8_t *image = r->pixels + r->offset[v * n + i];
      if (into) image = memcpy(into->pixels[v] + (size_t)(first + i) * bytes, image, bytes);
      shard_hash_pixels(&hash, image, bytes);
    }
    n_params += policy_params(w->policy, v, NULL) * (size_t)n;
  }
  shard_hash_params(&hash, r->params, n_params * sizeof(float));
  for (int64_t i = 0; i < n; i++) shard_hash_label(&hash, entry_of(w, step, first + i)->label);
  return shard_hash_close(&hash);
}

static void store_params(const struct batch *b, const struct shard *s, const struct result *r) {
  const uint8_t *params = r->params;
  for (int v = 0; v < b->view.n_views; v++) {
    size_t n_params = b->views[v].n_params, bytes = (size_t)s->n * n_params * sizeof(float);
    memcpy(b->params[v] + (size_t)s->first * n_params, params, bytes);
    params += bytes;
  }
}

static enum accepted compare(struct shard_digest a, struct shard_digest b) {
  return a.pixels == b.pixels && a.labels == b.labels ? ACCEPTED_SAME : ACCEPTED_DIFFERENT;
}

/* What was read of a payload may be believed: to be asked after the last byte. */
static bool believed(const struct packet *p) {
  if (payload_intact(&p->pixels)) return true;
  fail(E_NOT_FOUND, "augmented: its slot in shared memory was used again while it was read");
  return false;
}

static enum accepted not_ours(void) {
  fail(E_FORMAT, "augmented: the ticket is not one of this run");
  return ACCEPTED_NOT;
}

static enum accepted accept_past(const struct window *w, struct packet *p, const struct ticket *t,
                                 struct arrival *a) {
  const struct past *past = &w->past[t->step % PAST_STEPS];
  if (past->step != (int64_t)t->step) return ACCEPTED_OLD;
  const struct past_shard *s = (int64_t)t->shard < past->n_shards ? &past->shards[t->shard] : NULL;
  zmq_msg_t *body = &p->frame[FRAME_BODY];
  if (!s || XXH3_64bits(zmq_msg_data(body), zmq_msg_size(body)) != s->ticket) return not_ours();
  struct result r;
  if (check_layout(w, p, (uint32_t)s->n, &r) != OK) return ACCEPTED_NOT;
  a->made_by = s->made_by;
  struct shard_digest d = read_pixels(w, &r, past->step, s->first, s->n, NULL);
  return believed(p) ? compare(d, s->digest) : ACCEPTED_LOST;
}

static enum accepted accept_ticket(struct window *w, struct packet *p, const struct ticket *t, uint64_t by,
                                   struct arrival *a) {
  if ((int64_t)t->step < w->next) return accept_past(w, p, t, a);
  struct batch *b = window_batch(w, (int64_t)t->step);
  struct shard *s = b && (int64_t)t->shard < b->n_shards ? &b->shards[t->shard] : NULL;
  zmq_msg_t *body = &p->frame[FRAME_BODY];
  if (!s || zmq_msg_size(body) != s->body_size || memcmp(zmq_msg_data(body), s->body, s->body_size) != 0)
    return not_ours();
  struct result r;
  if (check_layout(w, p, (uint32_t)s->n, &r) != OK) return ACCEPTED_NOT;
  bool done = s->state == SHARD_DONE;
  struct shard_digest d = read_pixels(w, &r, b->view.step, s->first, s->n, done ? NULL : b);
  if (!believed(p)) return ACCEPTED_LOST;
  if (done) {
    a->made_by = s->made_by;
    return compare(d, s->digest);
  }
  store_params(b, s, &r);
  s->state = SHARD_DONE;
  s->digest = d;
  s->made_by = by;
  b->done++;
  return ACCEPTED_NEW;
}

enum accepted window_accept(struct window *w, struct packet *packet, uint64_t by, struct arrival *arrival) {
  struct ticket t;
  zmq_msg_t *body = &packet->frame[FRAME_BODY];
  if (ticket_decode(zmq_msg_data(body), zmq_msg_size(body), &t) != OK) return ACCEPTED_NOT;
  *arrival = (struct arrival){.step = t.step, .shard = t.shard};
  enum accepted a = accept_ticket(w, packet, &t, by, arrival);
  ticket_free(&t);
  return a;
}

struct ledger_line window_line(const struct window *w) {
  const struct batch *b = &w->batches[w->next % w->size];
  struct ledger_line line = {.step = b->view.step, .images = b->view.n};
  for (int64_t k = 0; k < b->n_shards; k++) {
    line.tickets += XXH3_64bits(b->shards[k].body, b->shards[k].body_size);
    line.pixels += b->shards[k].digest.pixels;
    line.labels += b->shards[k].digest.labels;
  }
  return line;
}

enum status window_advance(struct window *w) {
  const struct batch *b = &w->batches[w->next % w->size];
  struct past *past = &w->past[w->next % PAST_STEPS];
  past->step = w->next;
  past->n_shards = b->n_shards;
  for (int64_t k = 0; k < b->n_shards; k++) {
    const struct shard *s = &b->shards[k];
    past->shards[k] =
        (struct past_shard){XXH3_64bits(s->body, s->body_size), s->first, s->n, s->digest, s->made_by};
  }
  w->next++;
  return fill(w, w->next + w->size - 1);
}
