#include "nn/sgd/sgd.h"

#include <stdlib.h>

#include "nn/engine.h"

/* Parameters that lie next to each other and are treated alike. */
struct run_of_params {
  size_t at, bytes;
  int rate;
  bool decays;
};

struct sgd {
  const struct graph *g;
  struct param_block params;
  const struct kernel *kernel;
  char *v; /* device memory, ordered as params.theta */
  struct sgd_config config;
  struct run_of_params *runs;
  size_t n_runs;
};

static size_t offset_of(const struct sgd *o, const struct tensor *t) {
  return (size_t)((char *)t->data - o->params.theta);
}

/* The parameters with gradients come in the order of their addresses. */
static enum status find_runs(struct sgd *o) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(o->g, &tensors);
  o->runs = calloc(n ? n : 1, sizeof *o->runs);
  if (!o->runs) return fail(E_MEMORY, "out of memory for the optimiser");
  for (size_t i = 0; i < n; i++) {
    if (!sgd_holds(o, tensors[i].value)) continue;
    struct run_of_params next = {offset_of(o, graph_tensor_of(o->g, tensors[i].value)), 0,
                                 o->config.rate_of ? o->config.rate_of(tensors[i].name) : 0,
                                 !o->config.decay_matrices_only || tensors[i].shape.n_dims > 1};
    struct run_of_params *last = o->n_runs ? &o->runs[o->n_runs - 1] : NULL;
    if (!last || last->rate != next.rate || last->decays != next.decays) {
      if (last) last->bytes = next.at - last->at;
      o->runs[o->n_runs++] = next;
    }
  }
  struct run_of_params *last = &o->runs[o->n_runs - 1];
  last->bytes = o->params.bytes - last->at;
  return OK;
}

enum status sgd_open(struct sgd **out, struct graph *g, struct sgd_config config) {
  *out = NULL;
  struct param_block params = graph_param_block(g);
  if (params.bytes == 0) return fail(E_ARG, "nothing to optimise: no gradient reaches a parameter");
  const struct kernel *kernel = kernel_find("sgd", params.backend->name);
  if (!kernel) return fail(E_DEVICE, "no %s kernel for sgd", params.backend->name);
  struct sgd *o = calloc(1, sizeof *o);
  if (!o) return fail(E_MEMORY, "out of memory for the optimiser");
  *o = (struct sgd){.g = g, .params = params, .kernel = kernel, .config = config};
  enum status st = find_runs(o);
  if (st == OK) st = params.backend->alloc(params.device, params.bytes, (void **)&o->v);
  if (st != OK) {
    free(o->runs);
    free(o);
    return st;
  }
  *out = o;
  return OK;
}

void sgd_close(struct sgd **o) {
  if (!*o) return;
  (*o)->params.backend->release((*o)->params.device, (*o)->v);
  free((*o)->runs);
  free(*o);
  *o = NULL;
}

enum status sgd_step(struct sgd *o, const double *rates) {
  enum status st = OK;
  o->params.backend->enter(o->params.device);
  for (size_t i = 0; i < o->n_runs && st == OK; i++) {
    const struct run_of_params *r = &o->runs[i];
    const double arg[] = {rates[r->rate], o->config.momentum, r->decays ? o->config.weight_decay : 0};
    st = o->kernel->update(o->params.device, o->params.theta + r->at, o->params.grad + r->at, o->v + r->at,
                           r->bytes, arg);
  }
  return st;
}

bool sgd_holds(const struct sgd *o, struct value param) {
  const struct tensor *t = param.id > 0 ? graph_tensor_of(o->g, param) : NULL;
  return t && t->role == TENSOR_PARAM && t->grad;
}

/* The parameter's tensor and its momentum buffer. */
static enum status locate(const struct sgd *o, struct value param, int64_t count, const struct tensor **t,
                          char **v) {
  if (!sgd_holds(o, param)) return fail(E_ARG, "the optimiser has no state for that value");
  *t = graph_tensor_of(o->g, param);
  if (shape_count((*t)->shape) != count) {
    return fail(E_SHAPE, "the momentum of %s has %lld numbers, not %lld", (*t)->name,
                (long long)shape_count((*t)->shape), (long long)count);
  }
  *v = o->v + ((char *)(*t)->data - o->params.theta);
  return OK;
}

static enum status read_state(const struct sgd *o, struct value param, void *v, int64_t count, bool f64) {
  const struct tensor *t = NULL;
  char *at = NULL;
  enum status st = locate(o, param, count, &t, &at);
  return st == OK ? o->params.backend->download(o->params.device, t, at, v, f64) : st;
}

static enum status write_state(struct sgd *o, struct value param, const void *v, int64_t count, bool f64) {
  const struct tensor *t = NULL;
  char *at = NULL;
  enum status st = locate(o, param, count, &t, &at);
  return st == OK ? o->params.backend->upload(o->params.device, t, at, v, f64) : st;
}

enum status sgd_read_f32(const struct sgd *o, struct value param, float *v, int64_t count) {
  return read_state(o, param, v, count, false);
}

enum status sgd_write_f32(struct sgd *o, struct value param, const float *v, int64_t count) {
  return write_state(o, param, v, count, false);
}

enum status sgd_read_f64(const struct sgd *o, struct value param, double *v, int64_t count) {
  return read_state(o, param, v, count, true);
}

enum status sgd_write_f64(struct sgd *o, struct value param, const double *v, int64_t count) {
  return write_state(o, param, v, count, true);
}
