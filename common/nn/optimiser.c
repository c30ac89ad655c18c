#include "nn/optimiser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/engine.h"

extern const struct optimiser *const optimiser_registry[];

/* --- Rules ---------------------------------------------------------------------------------------------- */

enum status optimiser_find(const struct optimiser **out, const char *name) {
  char names[256] = "";
  for (const struct optimiser *const *o = optimiser_registry; *o; o++) {
    if (strcmp((*o)->name, name) == 0) return *out = *o, OK;
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", (*o)->name);
  }
  return fail(E_ARG, "--optimizer: there is no '%s'; known: %s", name, names);
}

size_t optimiser_place(const struct optimiser *optimiser) {
  size_t i = 0;
  while (optimiser_registry[i] != optimiser) i++;
  return i;
}

const char *optimiser_name_at(size_t i) { return optimiser_registry[i] ? optimiser_registry[i]->name : NULL; }

const struct opt *optimiser_opts_at(size_t i) {
  if (i >= MAX_OPTIMISERS || !optimiser_registry[i]) return NULL;
  return optimiser_registry[i]->opts ? optimiser_registry[i]->opts : opt_none;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* Parameters that lie next to each other and are treated alike. */
struct run_of_params {
  size_t at, bytes;
  int rate;
  bool vector, decays;
};

struct updater {
  const struct graph *g;
  struct param_block params;
  const struct optimiser *rule;
  const struct kernel *kernel;
  char *state[OPTIMISER_MAX_STATES]; /* device memory, ordered as params.theta */
  size_t n_states;
  struct optimiser_config config;
  int64_t steps; /* taken */
  struct run_of_params *runs;
  struct update *updates; /* of the runs */
  size_t n_runs;
};
_Static_assert((int)N_ARGS <= (int)UPDATE_ARGS && (int)OPTIMISER_MAX_STATES <= (int)UPDATE_STATES,
               "an update has room for what optimisers take");

static size_t offset_of(const struct updater *u, const struct tensor *t) {
  return (size_t)((char *)t->data - u->params.theta);
}

static bool is_alike(const struct updater *u, const struct run_of_params *a, const struct run_of_params *b) {
  return !u->rule->whole_tensors && a->rate == b->rate && a->decays == b->decays;
}

/* The parameters with gradients come in the order of their addresses. */
static enum status find_runs(struct updater *u) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(u->g, &tensors);
  u->runs = calloc(n ? n : 1, sizeof *u->runs);
  u->updates = calloc(n ? n : 1, sizeof *u->updates);
  if (!u->runs || !u->updates) return fail(E_MEMORY, "out of memory for the optimiser");
  const bool vectors_decay = !u->config.decay_matrices_only && !u->rule->spares_vectors;
  for (size_t i = 0; i < n; i++) {
    if (!updater_holds(u, tensors[i].value)) continue;
    const struct tensor *t = graph_tensor_of(u->g, tensors[i].value);
    const bool vector = tensors[i].shape.n_dims < 2;
    struct run_of_params next = {offset_of(u, t), t->bytes,
                                 u->config.rate_of ? u->config.rate_of(tensors[i].name) : 0, vector,
                                 vectors_decay || !vector};
    struct run_of_params *last = u->n_runs ? &u->runs[u->n_runs - 1] : NULL;
    if (last && is_alike(u, last, &next))
      last->bytes = next.at + next.bytes - last->at;
    else
      u->runs[u->n_runs++] = next;
  }
  return OK;
}

static enum status make_state(struct updater *u) {
  enum status st = OK;
  u->params.backend->enter(u->params.device);
  for (; u->rule->state[u->n_states]; u->n_states++) {
    char **state = &u->state[u->n_states];
    TRY(u->params.backend->alloc(u->params.device, u->params.bytes, (void **)state));
  }
  for (size_t i = 0; i < u->n_runs; i++) {
    const size_t at = u->runs[i].at;
    struct update *update = &u->updates[i];
    *update = (struct update){u->params.theta + at, u->params.grad + at, {0}, u->runs[i].bytes, {0}};
    for (size_t k = 0; k < u->n_states; k++) update->state[k] = u->state[k] + at;
  }
out:
  return st;
}

enum status updater_open(struct updater **out, struct graph *g, const struct optimiser_config *config) {
  *out = NULL;
  const struct optimiser *rule;
  enum status st = optimiser_find(&rule, config->name ? config->name : "sgd");
  if (st != OK) return st;
  struct param_block params = graph_param_block(g);
  if (params.bytes == 0) return fail(E_ARG, "nothing to optimise: no gradient reaches a parameter");
  if (!params.theta) return fail(E_ARG, "an optimiser for a graph that has no memory");
  const struct kernel *kernel = kernel_find(rule->name, params.backend->name);
  if (!kernel) return fail(E_DEVICE, "no %s kernel for %s", params.backend->name, rule->name);
  struct updater *u = *out = calloc(1, sizeof *u);
  if (!u) return fail(E_MEMORY, "out of memory for the optimiser");
  *u = (struct updater){.g = g, .params = params, .rule = rule, .kernel = kernel, .config = *config};
  TRY(find_runs(u));
  TRY(make_state(u));
out:
  if (st != OK) updater_close(out);
  return st;
}

void updater_close(struct updater **updater) {
  struct updater *u = *updater;
  *updater = NULL;
  if (!u) return;
  u->params.backend->enter(u->params.device);
  for (size_t k = 0; k < u->n_states; k++) u->params.backend->release(u->params.device, u->state[k]);
  free(u->runs);
  free(u->updates);
  free(u);
}

/* --- Running -------------------------------------------------------------------------------------------- */

enum status updater_step(struct updater *u, const double *rates) {
  u->steps++;
  const double vector_rate = u->rule->vector_rate ? u->rule->vector_rate(u->config.own.bytes) : 1;
  for (size_t i = 0; i < u->n_runs; i++) {
    const struct run_of_params *r = &u->runs[i];
    double *arg = u->updates[i].arg;
    u->rule->arguments(arg, &u->config, u->steps);
    arg[ARG_RATE] = rates[r->rate] * (r->vector ? vector_rate : 1);
    arg[ARG_DECAY] = r->decays ? u->config.weight_decay : 0;
    arg[ARG_VECTOR] = r->vector;
  }
  u->params.backend->enter(u->params.device);
  return kernel_update(u->kernel, u->params.device, u->updates, u->n_runs);
}

void updater_set_steps(struct updater *u, int64_t steps) { u->steps = steps; }

const char *updater_state_name(const struct updater *u, size_t k) { return u->rule->state[k]; }

bool updater_holds(const struct updater *u, struct value param) {
  const struct tensor *t = param.id > 0 ? graph_tensor_of(u->g, param) : NULL;
  return t && t->role == TENSOR_PARAM && t->grad;
}

/* The parameter's tensor and its state k, about to be read or written. */
static enum status locate(const struct updater *u, size_t k, struct value param, int64_t count,
                          const struct tensor **t, char **at) {
  if (k >= u->n_states || !updater_holds(u, param))
    return fail(E_ARG, "the optimiser has no state for that value");
  *t = graph_tensor_of(u->g, param);
  if (shape_count((*t)->shape) != count)
    return fail(E_SHAPE, "the %s of %s has %lld numbers, not %lld", u->rule->state[k], (*t)->name,
                (long long)shape_count((*t)->shape), (long long)count);
  *at = u->state[k] + offset_of(u, *t);
  u->params.backend->enter(u->params.device);
  return OK;
}

static enum status read_state(const struct updater *u, size_t k, struct value param, void *v, int64_t count,
                              bool f64) {
  const struct tensor *t = NULL;
  char *at = NULL;
  enum status st = locate(u, k, param, count, &t, &at);
  return st == OK ? u->params.backend->download(u->params.device, t, at, v, f64) : st;
}

static enum status write_state(struct updater *u, size_t k, struct value param, const void *v, int64_t count,
                               bool f64) {
  const struct tensor *t = NULL;
  char *at = NULL;
  enum status st = locate(u, k, param, count, &t, &at);
  return st == OK ? u->params.backend->upload(u->params.device, t, at, v, f64) : st;
}

enum status updater_read_f32(const struct updater *u, size_t k, struct value param, float *v, int64_t count) {
  return read_state(u, k, param, v, count, false);
}

enum status updater_write_f32(struct updater *u, size_t k, struct value param, const float *v,
                              int64_t count) {
  return write_state(u, k, param, v, count, false);
}

enum status updater_read_f64(const struct updater *u, size_t k, struct value param, double *v,
                             int64_t count) {
  return read_state(u, k, param, v, count, true);
}

enum status updater_write_f64(struct updater *u, size_t k, struct value param, const double *v,
                              int64_t count) {
  return write_state(u, k, param, v, count, true);
}
