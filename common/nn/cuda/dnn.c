/* A plan is the library's first suggestion, by its own heuristics, that keeps our conditions: precompiled (the others need a
 * compiler at run time and seconds each), float32 sums, no rounding of inputs that the precision does not allow, within
 * the workspace limit, and deterministic where that is asked for. Where the precision is one of the tensor cores, suggestions
 * that leave them idle come last: for some small strided convolutions the heuristics put them first. With PLANS_MEASURED
 * it is that of the first MAX_PLANS which is the fastest when they are tried. */
#include "nn/cuda/dnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "nn/cuda/descriptor.h"
#include "nn/cuda/fastest.h"
#include "nn/cuda/operation.h"

enum { MAX_CONFIGS = 64 }; /* suggestions looked at per heuristic; it gives about ten */
enum { MAX_PLANS = 8 };    /* to be measured */

/* Plans to be measured beside the first may not need more workspace than this or the first: it is memory of every step. */
static const size_t rival_workspace = (size_t)64 << 20;

struct dnn {
  struct cudnn_functions api;
  cudnnHandle_t handle;            /* NULL when the device is only described */
  cudnnBackendDescriptor_t device; /* NULL when it is there */
  enum plans plans;
  size_t workspace_limit;
  struct measured *measured; /* by PLANS_MEASURED */
  size_t n_measured, measured_room;
};

struct plan {
  cudnnBackendDescriptor_t config, plan; /* the first lives as long as the second */
  size_t workspace;
  char text[160];
};

struct dnn_conv {
  struct dnn *dnn;
  struct dnn_conv_shape shape;
  enum dnn_pass pass;
  struct plan plans[MAX_PLANS]; /* the best first, as far as is known */
  int n_plans;
  cudnnBackendDescriptor_t pack; /* the plan's arguments, made for these addresses */
  void *addresses[3], *pack_workspace;
};

/* Which of its plans was the fastest for a convolution. */
struct measured {
  struct dnn_conv_shape shape;
  enum dnn_pass pass;
  int best;
};

/* --- Device --- */

static enum status open_described(struct dnn *dnn, const char *json) {
  const struct attribute attributes[] = {
      {CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json}};
  return descriptor_make(&dnn->api, "device properties", CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, attributes,
                         COUNT(attributes), &dnn->device);
}

enum status dnn_open(struct dnn **out, const struct dnn_config *config) {
  struct dnn *dnn = calloc(1, sizeof *dnn);
  *out = NULL;
  if (!dnn) return fail(E_MEMORY, "out of memory for cuDNN");
  enum status st = OK;
  dnn->plans = config->plans;
  dnn->workspace_limit = config->workspace_limit ? config->workspace_limit : (size_t)1 << 30;
  TRY(libraries_cudnn(&dnn->api));
  if (config->device) {
    TRY(open_described(dnn, config->device));
  } else {
    TRY(descriptor_check(&dnn->api, dnn->api.cudnnCreate(&dnn->handle), "cudnnCreate"));
  }
out:
  if (st != OK) dnn_close(&dnn);
  *out = dnn;
  return st;
}

void dnn_close(struct dnn **dnn) {
  struct dnn *d = *dnn;
  *dnn = NULL;
  if (!d) return;
  if (d->device) descriptor_free(&d->api, &d->device);
  if (d->handle) d->api.cudnnDestroy(d->handle);
  free(d->measured);
  free(d);
}

/* --- The choice of a plan --- */

enum verdict { ACCEPTED, UNSTEADY, IMPRECISE, SLOW, COMPILED, UNSUPPORTED, TOO_LARGE, VERDICTS };

struct search {
  struct dnn_conv *conv;
  enum precision precision;
  bool tensor_cores; /* nothing else will do */
  int suggestions, count[VERDICTS];
};

/* What an engine says of itself: its numerical or behaviour notes as a set of bits. */
static uint32_t notes_of(const struct dnn *dnn, cudnnBackendDescriptor_t engine,
                         cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) {
  int notes[32]; /* both are enums of C, which have the size of an int */
  int64_t count = 0;
  uint32_t set = 0;
  if (dnn->api.cudnnBackendGetAttribute(engine, name, type, COUNT(notes), &count, notes) !=
      CUDNN_STATUS_SUCCESS)
    return 0;
  for (int64_t i = 0; i < count && i < COUNT(notes); i++) set |= 1U << notes[i];
  return set;
}

#define NOTE(name) (1U << CUDNN_NUMERICAL_NOTE_##name)

static enum verdict judge(const struct search *s, uint32_t numerical, uint32_t behaviour) {
  uint32_t imprecise = NOTE(DOWN_CONVERT_INPUTS) | NOTE(REDUCED_PRECISION_REDUCTION);
  if (s->precision == PRECISION_F32) imprecise |= NOTE(TENSOR_CORE) | NOTE(FFT) | NOTE(WINOGRAD);
  if (numerical & imprecise) return IMPRECISE;
  if (s->tensor_cores && !(numerical & NOTE(TENSOR_CORE))) return SLOW;
  if (s->conv->dnn->plans == PLANS_DETERMINISTIC && numerical & NOTE(NONDETERMINISTIC)) return UNSTEADY;
  return behaviour & 1U << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION ? COMPILED : ACCEPTED;
}

static size_t workspace_limit(const struct dnn_conv *conv) {
  const size_t first = conv->plans[0].workspace;
  if (!conv->n_plans) return conv->dnn->workspace_limit;
  return first > rival_workspace ? first : rival_workspace;
}

static void free_plan(const struct dnn *dnn, struct plan *plan) {
  descriptor_free(&dnn->api, &plan->plan);
  descriptor_free(&dnn->api, &plan->config);
}

/* Makes the plan of one suggestion; only memory within the limit and support for the shape are left to see. */
static enum verdict make_plan(const struct search *s, cudnnBackendDescriptor_t config) {
  struct dnn_conv *conv = s->conv;
  const struct dnn *dnn = conv->dnn;
  struct plan *plan = &conv->plans[conv->n_plans];
  const struct attribute attributes[] = {
      {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config},
      dnn->handle ? (struct attribute){CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle}
                  : (struct attribute){CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                       &dnn->device}};
  int64_t workspace = 0;
  if (descriptor_try(&dnn->api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, attributes, COUNT(attributes),
                     &plan->plan) != CUDNN_STATUS_SUCCESS ||
      dnn->api.cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                        CUDNN_TYPE_INT64, 1, NULL, &workspace) != CUDNN_STATUS_SUCCESS) {
    descriptor_free(&dnn->api, &plan->plan);
    return UNSUPPORTED;
  }
  if ((size_t)workspace > workspace_limit(conv)) {
    descriptor_free(&dnn->api, &plan->plan);
    return TOO_LARGE;
  }
  plan->workspace = (size_t)workspace;
  return ACCEPTED;
}

static void describe(const struct search *s, int64_t engine, uint32_t notes) {
  struct plan *plan = &s->conv->plans[s->conv->n_plans];
  snprintf(plan->text, sizeof plan->text, "engine %lld, suggestion %d%s%s%s, workspace %.1f MiB",
           (long long)engine, s->suggestions, notes & NOTE(TENSOR_CORE) ? ", tensor cores" : "",
           notes & NOTE(WINOGRAD) ? ", Winograd" : "",
           notes & NOTE(NONDETERMINISTIC) ? ", not deterministic" : "", (double)plan->workspace / (1 << 20));
}

static enum verdict consider(struct search *s, cudnnBackendDescriptor_t config) {
  const struct dnn *dnn = s->conv->dnn;
  cudnnBackendDescriptor_t engine = NULL;
  int64_t index = 0, count = 0;
  if (dnn->api.cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
    return UNSUPPORTED;
  enum verdict verdict = UNSUPPORTED;
  if (dnn->api.cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                        &count, &engine) == CUDNN_STATUS_SUCCESS &&
      dnn->api.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count,
                                        &index) == CUDNN_STATUS_SUCCESS) {
    uint32_t notes = notes_of(dnn, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE);
    verdict =
        judge(s, notes, notes_of(dnn, engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE));
    if (verdict == ACCEPTED) verdict = make_plan(s, config);
    if (verdict == ACCEPTED) describe(s, index, notes);
  }
  descriptor_free(&dnn->api, &engine);
  return verdict;
}

/* Goes through one heuristic's suggestions, best first. A heuristic that has none to give is no error. */
static enum status search_by(struct search *s, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode) {
  const struct dnn *dnn = s->conv->dnn;
  const struct attribute attributes[] = {
      {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph},
      {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode},
      {CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &dnn->device}};
  cudnnBackendDescriptor_t heuristic = NULL, configs[MAX_CONFIGS] = {NULL};
  const int wanted = dnn->plans == PLANS_MEASURED ? MAX_PLANS : 1;
  int64_t count = 0;
  enum status st = OK;
  if (descriptor_try(&dnn->api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, attributes, dnn->device ? 3 : 2,
                     &heuristic) != CUDNN_STATUS_SUCCESS)
    return OK;
  for (int i = 0; i < MAX_CONFIGS; i++) {
    TRY(descriptor_check(
        &dnn->api, dnn->api.cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]),
        "engine configuration"));
  }
  TRY(descriptor_check(&dnn->api,
                       dnn->api.cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_CONFIGS, &count,
                                                         configs),
                       "heuristic"));
  for (int64_t i = 0; i < count && i < MAX_CONFIGS && s->conv->n_plans < wanted; i++) {
    const enum verdict verdict = consider(s, configs[i]);
    s->suggestions++;
    s->count[verdict]++;
    if (verdict != ACCEPTED) continue;
    s->conv->plans[s->conv->n_plans++].config = configs[i];
    configs[i] = NULL;
  }
out:
  for (int i = 0; i < MAX_CONFIGS; i++) descriptor_free(&dnn->api, &configs[i]);
  descriptor_free(&dnn->api, &heuristic);
  return st;
}

/* "forward convolution for x [..], w [..], stride 1, pad 1 in bf16", for people. */
static void name_convolution(char text[200], const struct dnn_conv_shape *s, enum dnn_pass pass) {
  snprintf(text, 200,
           "%s convolution for x [%lld,%lld,%lld,%lld], w [%lld,%lld,%lld,%lld], stride %lld, pad %lld in %s",
           operation_name(pass), (long long)s->n, (long long)s->c, (long long)s->h, (long long)s->w,
           (long long)s->o, (long long)s->c, (long long)s->k, (long long)s->k, (long long)s->stride,
           (long long)s->pad, precision_name(s->precision));
}

static enum status no_plan(const struct search *s, const char *convolution) {
  const struct dnn *dnn = s->conv->dnn;
  return fail(E_DEVICE,
              "cuDNN has no %s%s: of %d suggestions %d are not deterministic, %d round too much, %d need a "
              "compiler, %d "
              "need more than %zu MiB of workspace, %d do not support it here",
              convolution, dnn->plans == PLANS_DETERMINISTIC ? ", deterministic" : "", s->suggestions,
              s->count[UNSTEADY], s->count[IMPRECISE], s->count[COMPILED], s->count[TOO_LARGE],
              dnn->workspace_limit >> 20, s->count[UNSUPPORTED]);
}

/* --- Convolutions --- */

static enum status check_shape(const struct dnn_conv_shape *s) {
  const int64_t sizes[] = {s->n, s->c, s->h, s->w, s->o, s->k, s->stride};
  for (int i = 0; i < COUNT(sizes); i++) {
    if (sizes[i] < 1) return fail(E_SHAPE, "a convolution's sizes must be at least 1");
  }
  if (s->pad >= 0 && s->h + 2 * s->pad >= s->k && s->w + 2 * s->pad >= s->k) return OK;
  return fail(E_SHAPE, "a convolution's kernel of %lld does not fit into %lldx%lld padded by %lld",
              (long long)s->k, (long long)s->h, (long long)s->w, (long long)s->pad);
}

static enum status search(struct search *s, cudnnBackendDescriptor_t graph) {
  enum status st = search_by(s, graph, CUDNN_HEUR_MODE_A);
  return st == OK && !s->conv->n_plans ? search_by(s, graph, CUDNN_HEUR_MODE_FALLBACK) : st;
}

enum status dnn_conv_open(struct dnn_conv **out, struct dnn *dnn, const struct dnn_conv_shape *shape,
                          enum dnn_pass pass) {
  *out = NULL;
  enum status st = check_shape(shape);
  if (st != OK) return st;
  struct dnn_conv *conv = calloc(1, sizeof *conv);
  if (!conv) return fail(E_MEMORY, "out of memory for a convolution");
  conv->dnn = dnn;
  conv->shape = *shape;
  conv->pass = pass;
  struct search fast = {.conv = conv, .precision = shape->precision, .tensor_cores = true},
                any = {.conv = conv, .precision = shape->precision};
  cudnnBackendDescriptor_t graph = NULL;
  char name[200];
  name_convolution(name, shape, pass);
  TRY(operation_make(&dnn->api, dnn->handle, shape, pass, &graph));
  if (shape->precision != PRECISION_F32) TRY(search(&fast, graph));
  if (!conv->n_plans) TRY(search(&any, graph));
  if (!conv->n_plans) TRY(no_plan(&any, name));
  log_debug("cuDNN: %s: %s%s", name, conv->plans[0].text,
            conv->n_plans > 1 ? ", and others to be measured" : "");
out:
  descriptor_free(&dnn->api, &graph);
  if (st != OK) dnn_conv_close(&conv);
  *out = conv;
  return st;
}

void dnn_conv_close(struct dnn_conv **conv) {
  struct dnn_conv *c = *conv;
  *conv = NULL;
  if (!c) return;
  descriptor_free(&c->dnn->api, &c->pack);
  for (int i = 0; i < c->n_plans; i++) free_plan(c->dnn, &c->plans[i]);
  free(c);
}

size_t dnn_conv_workspace(const struct dnn_conv *conv) {
  size_t most = 0;
  for (int i = 0; i < conv->n_plans; i++)
    if (conv->plans[i].workspace > most) most = conv->plans[i].workspace;
  return most;
}

const char *dnn_conv_plan(const struct dnn_conv *conv) { return conv->plans[0].text; }

/* The plan's arguments: made on the first run, since kernels are run on the same addresses every step. */
static enum status pack_arguments(struct dnn_conv *conv, void *const addresses[3], void *workspace) {
  if (conv->pack && !memcmp(conv->addresses, addresses, sizeof conv->addresses) &&
      conv->pack_workspace == workspace)
    return OK;
  const struct cudnn_functions *api = &conv->dnn->api;
  const int64_t ids[] = {ID_X, ID_W, ID_Y};
  const struct attribute attributes[] = {
      {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids},
      {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, addresses},
      {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace}};
  descriptor_free(api, &conv->pack);
  memcpy(conv->addresses, addresses, sizeof conv->addresses);
  conv->pack_workspace = workspace;
  return descriptor_make(api, "arguments", CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, attributes,
                         COUNT(attributes), &conv->pack);
}

static enum status run_plan(struct dnn_conv *conv, const struct plan *plan, void *stream, void *x, void *w,
                            void *y, void *workspace) {
  struct dnn *dnn = conv->dnn;
  if (!dnn->handle) return fail(E_DEVICE, "a convolution planned for a described device cannot be run");
  enum status st = pack_arguments(conv, (void *[]){x, w, y}, workspace);
  if (st == OK)
    st = descriptor_check(&dnn->api, dnn->api.cudnnSetStream(dnn->handle, stream), "cudnnSetStream");
  if (st != OK) return st;
  return descriptor_check(&dnn->api, dnn->api.cudnnBackendExecute(dnn->handle, plan->plan, conv->pack),
                          plan->text);
}

enum status dnn_conv_run(struct dnn_conv *conv, void *stream, void *x, void *w, void *y, void *workspace) {
  return run_plan(conv, &conv->plans[0], stream, x, w, y, workspace);
}

/* --- Measuring --- */

static bool is_same(const struct dnn_conv_shape *a, const struct dnn_conv_shape *b) {
  return a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w && a->o == b->o && a->k == b->k &&
         a->stride == b->stride && a->pad == b->pad && a->precision == b->precision;
}

static const struct measured *measured_before(const struct dnn_conv *conv) {
  const struct dnn *dnn = conv->dnn;
  for (size_t i = 0; i < dnn->n_measured; i++) {
    const struct measured *m = &dnn->measured[i];
    if (m->pass == conv->pass && is_same(&m->shape, &conv->shape)) return m;
  }
  return NULL;
}

static enum status remember(const struct dnn_conv *conv, int best) {
  struct dnn *dnn = conv->dnn;
  if (dnn->n_measured == dnn->measured_room) {
    const size_t room = dnn->measured_room ? 2 * dnn->measured_room : 64;
    struct measured *grown = realloc(dnn->measured, room * sizeof *grown);
    if (!grown) return fail(E_MEMORY, "out of memory for cuDNN");
    dnn->measured = grown;
    dnn->measured_room = room;
  }
  dnn->measured[dnn->n_measured++] = (struct measured){conv->shape, conv->pass, best};
  return OK;
}

/* Of all plans one is left. */
static void keep(struct dnn_conv *conv, int best) {
  const struct plan kept = conv->plans[best];
  for (int i = 0; i < conv->n_plans; i++)
    if (i != best) free_plan(conv->dnn, &conv->plans[i]);
  conv->plans[0] = kept;
  conv->n_plans = 1;
}

struct trial_run {
  struct dnn_conv *conv;
  void *stream, *x, *w, *y, *workspace;
};

static enum status try_plan(void *context, int i) {
  const struct trial_run *t = context;
  return run_plan(t->conv, &t->conv->plans[i], t->stream, t->x, t->w, t->y, t->workspace);
}

enum status dnn_conv_measure(struct dnn_conv *conv, void *stream, void *x, void *w, void *y,
                             void *workspace) {
  const struct measured *before = measured_before(conv);
  if (before && before->best >= conv->n_plans) before = NULL; /* fewer plans could be made this time */
  int best = before ? before->best : 0;
  char name[200];
  enum status st = OK;
  if (conv->n_plans < 2) return OK;
  if (!before) {
    TRY(fastest(stream, conv->n_plans, try_plan, &(struct trial_run){conv, stream, x, w, y, workspace},
                &best));
    TRY(remember(conv, best));
    name_convolution(name, &conv->shape, conv->pass);
    log_debug("cuDNN: %s: the fastest is %s", name, conv->plans[best].text);
  }
  keep(conv, best);
out:
  return st;
}
