/* tandem-augment as a worker: renders every view of every image of a decoded shard. */
#include <stdlib.h>

#include "augment.h"
#include "base/clock.h"
#include "commands.h"
#include "image/isa.h"

struct options {
  struct isa_options isa;
  struct worker_options worker;
  int64_t threads;
};

static const struct opt opts[] = {
    {"worker", OPT_TABLE, offsetof(struct options, worker), .sub = worker_opts},
    {"threads", OPT_INT, offsetof(struct options, threads), "1", "threads that share the images of a shard"},
    {"isa", OPT_TABLE, offsetof(struct options, isa), .sub = isa_opts},
    {0}};

/* The decoded image i as its message describes it; everything in it is checked, since the bytes come from
 * outside. */
static enum status read_source(const struct work *work, uint32_t i, struct source *out) {
  const struct message *m = work->input;
  struct rect r = {(int32_t)m->left.at[i], (int32_t)m->top.at[i], (int32_t)m->width.at[i],
                   (int32_t)m->height.at[i]};
  struct extent whole = {(int32_t)m->whole_width.at[i], (int32_t)m->whole_height.at[i]};
  uint64_t bytes = (uint64_t)r.width * (uint64_t)r.height * 3;
  if (r.width < 1 || r.height < 1 || r.left + r.width > whole.width || r.top + r.height > whole.height ||
      bytes > work->pixels_size || m->offset.at[i] > work->pixels_size - bytes)
    return fail(E_FORMAT, "the description of image %u does not fit its pixels", i);
  *out = (struct source){work->pixels + m->offset.at[i], r, whole};
  return OK;
}

static enum status check_counts(const struct work *work) {
  const struct message *m = work->input;
  uint32_t n = work->ticket.ids.count;
  if (m->height.count == n && m->width.count == n && m->offset.count == n && m->left.count == n &&
      m->top.count == n && m->whole_height.count == n && m->whole_width.count == n)
    return OK;
  return fail(E_FORMAT, "a decoded shard describes another number of images than its ticket has");
}

/* Where the views go: pixels and parameters view by view, images in order. */
struct layout {
  uint8_t *pixels;
  float *params;
  size_t pixel_base[POLICY_MAX_VIEWS], param_base[POLICY_MAX_VIEWS];
  size_t image_bytes[POLICY_MAX_VIEWS], n_params[POLICY_MAX_VIEWS];
};

static enum status lay_out(const struct policy *policy, struct work *work, struct layout *l) {
  uint32_t n = work->ticket.ids.count, views = (uint32_t)policy_views(policy);
  struct message *m = &work->output;
  uint64_t *height = work_numbers(work, &m->height, n * views),
           *width = work_numbers(work, &m->width, n * views);
  uint64_t *offset = work_numbers(work, &m->offset, n * views),
           *params = work_numbers(work, &m->params, views);
  if (!height || !width || !offset || !params) return E_MEMORY;
  size_t bytes = 0, floats = 0;
  for (uint32_t v = 0; v < views; v++) {
    uint64_t side = (uint64_t)policy_view_size(policy, (int)v);
    l->image_bytes[v] = side * side * 3;
    l->n_params[v] = params[v] = policy_params(policy, (int)v, NULL);
    l->pixel_base[v] = bytes;
    l->param_base[v] = floats;
    for (uint32_t i = v * n; i < (v + 1) * n; i++) {
      height[i] = width[i] = side;
      offset[i] = bytes;
      bytes += l->image_bytes[v];
    }
    floats += l->n_params[v] * n;
  }
  l->pixels = work_payload(work, FRAME_PIXELS, bytes);
  l->params = work_payload(work, FRAME_PARAMS, floats * sizeof(float));
  return l->pixels && l->params ? OK : E_MEMORY;
}

/* A shard in hand, which the threads share. */
struct shard {
  struct augment *augment;
  const struct policy *policy;
  struct work *work;
  struct layout layout;
};

static enum status augment_image(void *context, uint32_t i, int thread) {
  const struct shard *s = context;
  const struct work *work = s->work;
  const struct layout *l = &s->layout;
  const struct ticket *t = &work->ticket;
  uint32_t partner = (i ^ 1U) < t->ids.count ? i ^ 1U : i; /* `first` is even */
  struct source source, other;
  enum status st = read_source(work, i, &source);
  if (st == OK) st = read_source(work, partner, &other);
  if (st != OK) return st;
  struct view_draw draws[POLICY_MAX_VIEWS];
  policy_sample(s->policy, t->seed, t->step, (uint32_t)t->first + i, source.whole, other.whole, draws);
  source.shrink = policy_shrink(s->policy, draws); /* as decode has found too */
  for (int v = 0; st == OK && v < policy_views(s->policy); v++)
    st = render_view(s->augment->render[thread], s->policy, v, &draws[v], &source,
                     l->pixels + l->pixel_base[v] + i * l->image_bytes[v],
                     l->params + l->param_base[v] + i * l->n_params[v]);
  return st;
}

static void alive(void *context) { work_alive(((struct shard *)context)->work); }

enum status augment_shard(void *state, struct work *work) {
  struct shard s = {.augment = state, .work = work};
  enum status st = check_counts(work);
  if (st == OK) st = policy_cached(&s.augment->policy, work->ticket.policy, &s.policy);
  if (st == OK) st = lay_out(s.policy, work, &s.layout);
  if (st != OK) return st;
  return pool_run(s.augment->pool, &(struct pool_job){work->ticket.ids.count, &s, augment_image, alive});
}

enum status augment_open(struct augment *a, int64_t threads) {
  enum status st = pool_open(&a->pool, threads);
  if (st != OK) return st;
  a->render = calloc((size_t)threads, sizeof(struct render *));
  if (!a->render) return fail(E_MEMORY, "out of memory");
  for (int i = 0; st == OK && i < pool_threads(a->pool); i++) st = render_open(&a->render[i]);
  return st;
}

void augment_close(struct augment *a) {
  for (int i = 0; a->render && i < pool_threads(a->pool); i++) render_close(&a->render[i]);
  free(a->render);
  pool_close(&a->pool);
  policy_cache_close(&a->policy);
}

static const struct stage stage = {.role = "augment", .work = augment_shard};

static enum status run(void *state) {
  const struct options *o = state;
  struct augment a = {0};
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(isa_select(o->isa.isa));
  TRY(augment_open(&a, o->threads));
  TRY(worker_run(&stage, &a, &o->worker));
out:
  augment_close(&a);
  return st;
}

const struct command augment_work = {
    NULL, "works on decoded shards until it is told to stop", sizeof(struct options), opts, NULL, run};
