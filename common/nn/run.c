/* Running: transfers, forward, backward. */
#include <string.h>

#include "base/clock.h"
#include "nn/graph_internal.h"

/* The tensor behind v and the address of its data, or of its gradient for a negative id. */
static enum status locate(const struct graph *g, struct value v, int64_t count, const struct tensor **t,
                          void **at) {
  *t = graph_lookup(g, v);
  if (!*t || !g->planned) return fail(E_ARG, "no such value in the planned graph");
  *at = v.id < 0 ? (*t)->grad : (*t)->data;
  const char *name = (*t)->name ? (*t)->name : "an unnamed result";
  if (!*at) return fail(E_ARG, "%s has no %s", name, v.id < 0 ? "gradient" : "memory");
  if (count == shape_count((*t)->shape)) return OK;
  char text[64];
  shape_text((*t)->shape, text);
  return fail(E_SHAPE, "%s is %s, not %lld numbers", name, text, (long long)count);
}

static enum status write(struct graph *g, struct value v, const void *data, int64_t count, bool f64) {
  const struct tensor *t = NULL;
  void *at = NULL;
  enum status st = locate(g, v, count, &t, &at);
  if (st != OK) return st;
  g->backend->enter(g->run.device);
  return g->backend->upload(g->run.device, t, at, data, f64);
}

static enum status read(struct graph *g, struct value v, void *data, int64_t count, bool f64) {
  const struct tensor *t = NULL;
  void *at = NULL;
  enum status st = locate(g, v, count, &t, &at);
  if (st != OK) return st;
  g->backend->enter(g->run.device);
  return g->backend->download(g->run.device, t, at, data, f64);
}

enum status graph_write_f32(struct graph *g, struct value v, const float *data, int64_t count) {
  return write(g, v, data, count, false);
}
enum status graph_read_f32(struct graph *g, struct value v, float *data, int64_t count) {
  return read(g, v, data, count, false);
}
enum status graph_write_f64(struct graph *g, struct value v, const double *data, int64_t count) {
  return write(g, v, data, count, true);
}
enum status graph_read_f64(struct graph *g, struct value v, double *data, int64_t count) {
  return read(g, v, data, count, true);
}

enum status graph_write_pixels(struct graph *g, struct value v, const uint8_t *pixels, const double mean[3],
                               const double std[3]) {
  const struct tensor *t = graph_lookup(g, v);
  if (!t || !g->planned || v.id < 0 || t->role != TENSOR_INPUT || !t->data)
    return fail(E_ARG, "pixels need a planned input");
  if (t->shape.n_dims != 4 || t->shape.dim[1] != 3) {
    char text[64];
    shape_text(t->shape, text);
    return fail(E_SHAPE, "%s is %s, not images [N,3,H,W]", t->name, text);
  }
  g->backend->enter(g->run.device);
  return g->backend->pixels(g->run.device, t, pixels, mean, std);
}

void graph_observe(struct graph *g, node_observer *observer, void *context) {
  g->run.observer = observer;
  g->run.observer_context = context;
}

static int64_t now(const struct graph *g) { return g->run.observer ? clock_ns() : 0; }

/* An observed call is over when the device is done with it. */
static enum status observe(const struct graph *g, const struct node *n, enum node_phase phase,
                           int64_t since) {
  if (!g->run.observer) return OK;
  enum status st = g->backend->wait ? g->backend->wait(g->run.device) : OK;
  g->run.observer(g->run.observer_context, n, phase, clock_ns() - since);
  return st;
}

enum status graph_forward(struct graph *g) {
  enum status st = g->planned && !g->plan_only
                       ? OK
                       : fail(E_ARG, g->planned ? "graph_forward of a graph that has no memory"
                                                : "graph_forward before graph_plan");
  if (st == OK) g->backend->enter(g->run.device);
  if (st == OK && g->backend->forward_begin) st = g->backend->forward_begin(g->run.device, &g->run);
  for (int32_t i = 0; i < g->n_nodes && st == OK && !g->replays; i++) {
    int64_t start = now(g);
    st = g->nodes[i]->kernel->forward(g->nodes[i], &g->run);
    if (st == OK) st = observe(g, g->nodes[i], NODE_FORWARD, start);
    if (st != OK) fail_within(st, "%s forward", g->nodes[i]->op->name);
  }
  return st;
}

static enum status merge_gradients(struct graph *g, struct node *n) {
  enum status st = OK;
  for (int k = 0; k < n->n_in && st == OK; k++) {
    if (n->merge[k]) st = g->backend->add(g->run.device, n->in[k], n->merge[k], n->in_grad[k]);
  }
  return st;
}

enum status graph_backward(struct graph *g) {
  if (!g->planned || g->plan_only || g->run.mode != GRAPH_TRAIN)
    return fail(E_ARG, "graph_backward needs a planned training graph with memory");
  enum status st = OK;
  g->backend->enter(g->run.device);
  for (int32_t i = g->n_nodes - 1; i >= 0 && st == OK && !g->replays; i--) {
    struct node *n = g->nodes[i];
    if (!n->out->wants_grad) continue;
    int64_t start = now(g);
    st = n->kernel->backward(n, &g->run);
    if (st == OK) st = observe(g, n, NODE_BACKWARD, start);
    start = now(g);
    if (st == OK) st = merge_gradients(g, n);
    if (st == OK) st = observe(g, n, NODE_MERGE, start);
    if (st != OK) fail_within(st, "%s backward", n->op->name);
  }
  if (st == OK && g->backend->backward_end) st = g->backend->backward_end(g->run.device);
  return st;
}

enum status kernel_update(const struct kernel *kernel, void *device, const struct update *updates, size_t n) {
  enum status st = OK;
  if (kernel->update_all) return kernel->update_all(device, updates, n);
  for (size_t i = 0; i < n && st == OK; i++) {
    const struct update *u = &updates[i];
    st = kernel->update(device, u->theta, u->grad, u->state, u->bytes, u->arg);
  }
  return st;
}

/* --- Steps ---------------------------------------------------------------------------------------------- */

enum status graph_watch(struct graph *g, const struct value *values, int n) {
  if (n > SEND_NUMBERS) return fail(E_ARG, "at most %d numbers can be watched, not %d", SEND_NUMBERS, n);
  for (int i = 0; i < n; i++) {
    const struct tensor *t = values[i].id > 0 ? graph_lookup(g, values[i]) : NULL;
    if (!t || !t->output || !t->data || shape_count(t->shape) != 1)
      return fail(E_ARG, "only outputs of one number can be watched");
    g->watched[i] = t;
  }
  g->n_watched = n;
  return OK;
}

int graph_lag(const struct graph *g) { return g->backend->send ? SEND_SLOTS - 1 : 0; }

static enum status send_watched(struct graph *g) {
  int slot = (int)(g->steps % SEND_SLOTS);
  enum status st = OK;
  if (g->steps - g->taken >= SEND_SLOTS)
    return fail(E_ARG, "the watched values of %d steps were not taken", SEND_SLOTS);
  if (g->backend->send) TRY(g->backend->send(g->run.device, g->watched, g->n_watched, slot));
  for (int i = 0; i < g->n_watched && !g->backend->send; i++)
    TRY(g->backend->download(g->run.device, g->watched[i], g->watched[i]->data, &g->seen[slot][i], true));
  g->steps++;
out:
  return st;
}

enum status graph_watched(struct graph *g, double *values) {
  if (g->taken == g->steps) return fail(E_ARG, "the watched values of every step were taken");
  int slot = (int)(g->taken++ % SEND_SLOTS);
  g->backend->enter(g->run.device);
  if (g->backend->take) return g->backend->take(g->run.device, values, g->n_watched, slot);
  memcpy(values, g->seen[slot], (size_t)g->n_watched * sizeof *values);
  return OK;
}

enum status graph_step(struct graph *g, enum status (*body)(void *context), void *context) {
  const struct backend *b = g->backend;
  const bool record = b->step_begin && !g->run.observer; /* who times every kernel wants each to be called */
  enum status st = OK;
  if (g->plan_only) return fail(E_ARG, "graph_step of a graph that has no memory");
  b->enter(g->run.device);
  if (record) TRY(b->step_begin(g->run.device, &g->replays));
  st = body(context);
  g->replays = false;
  if (record) st = b->step_end(g->run.device, st);
  if (st == OK && g->n_watched) st = send_watched(g);
out:
  return st;
}
