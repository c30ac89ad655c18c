/* tandem-augment as a worker: renders every view of every image of a decoded shard. */
#include "base/clock.h"
#include "commands.h"
#include "image/isa.h"
#include "transform/policy.h"
#include "wire/policy_cache.h"
#include "wire/worker.h"

struct options {
  struct isa_options isa;
  const char *connect;
  bool shared_memory;
};

static const struct opt opts[] = {{"connect", OPT_STR, offsetof(struct options, connect), NULL,
                                   "endpoint of the consumer (train, linear, ...)", .required = true},
                                  SHARED_MEMORY_OPT(struct options, shared_memory),
                                  {"isa", OPT_TABLE, offsetof(struct options, isa), .sub = isa_opts},
                                  {0}};

struct augment {
  struct policy_cache policy;
  struct render *render;
};

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

static enum status augment_image(struct augment *a, const struct policy *policy, const struct work *work,
                                 uint32_t i, const struct layout *l) {
  const struct ticket *t = &work->ticket;
  uint32_t partner = (i ^ 1U) < t->ids.count ? i ^ 1U : i; /* `first` is even */
  struct source source, other;
  enum status st = read_source(work, i, &source);
  if (st == OK) st = read_source(work, partner, &other);
  if (st != OK) return st;
  struct view_draw draws[POLICY_MAX_VIEWS];
  policy_sample(policy, t->seed, t->step, (uint32_t)t->first + i, source.whole, other.whole, draws);
  for (int v = 0; st == OK && v < policy_views(policy); v++)
    st = render_view(a->render, policy, v, &draws[v], &source,
                     l->pixels + l->pixel_base[v] + i * l->image_bytes[v],
                     l->params + l->param_base[v] + i * l->n_params[v]);
  return st;
}

static enum status augment_shard(void *state, struct work *work) {
  struct augment *a = state;
  const struct policy *policy = NULL;
  struct layout l = {0};
  enum status st = check_counts(work);
  if (st == OK) st = policy_cached(&a->policy, work->ticket.policy, &policy);
  if (st == OK) st = lay_out(policy, work, &l);
  for (uint32_t i = 0; st == OK && i < work->ticket.ids.count; i++) {
    st = augment_image(a, policy, work, i, &l);
    work_alive(work);
  }
  return st;
}

static const struct stage stage = {.role = "augment", .work = augment_shard};

static enum status run(void *state) {
  const struct options *o = state;
  struct augment a = {0};
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(isa_select(o->isa.isa));
  TRY(render_open(&a.render));
  TRY(worker_run(&stage, &a,
                 &(struct worker_options){.connect = o->connect, .shared_memory = o->shared_memory}));
out:
  render_close(&a.render);
  policy_cache_close(&a.policy);
  return st;
}

const struct command augment_work = {
    NULL, "works on decoded shards until it is told to stop", sizeof(struct options), opts, NULL, run};
