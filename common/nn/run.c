/* Running: transfers, forward, backward. */
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
  return st == OK ? g->backend->upload(g->run.device, t, at, data, f64) : st;
}

static enum status read(struct graph *g, struct value v, void *data, int64_t count, bool f64) {
  const struct tensor *t = NULL;
  void *at = NULL;
  enum status st = locate(g, v, count, &t, &at);
  return st == OK ? g->backend->download(g->run.device, t, at, data, f64) : st;
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
  if (t->shape.n_dims == 4 && t->shape.dim[1] == 3)
    return g->backend->pixels(g->run.device, t, pixels, mean, std);
  char text[64];
  shape_text(t->shape, text);
  return fail(E_SHAPE, "%s is %s, not images [N,3,H,W]", t->name, text);
}

void graph_observe(struct graph *g, node_observer *observer, void *context) {
  g->run.observer = observer;
  g->run.observer_context = context;
}

static int64_t now(const struct graph *g) { return g->run.observer ? clock_ns() : 0; }

static void observe(const struct graph *g, const struct node *n, enum node_phase phase, int64_t since) {
  if (g->run.observer) g->run.observer(g->run.observer_context, n, phase, clock_ns() - since);
}

enum status graph_forward(struct graph *g) {
  enum status st = g->planned && !g->plan_only
                       ? OK
                       : fail(E_ARG, g->planned ? "graph_forward of a graph that has no memory"
                                                : "graph_forward before graph_plan");
  if (st == OK) g->backend->enter(g->run.device);
  for (int32_t i = 0; i < g->n_nodes && st == OK; i++) {
    int64_t start = now(g);
    st = g->nodes[i]->kernel->forward(g->nodes[i], &g->run);
    observe(g, g->nodes[i], NODE_FORWARD, start);
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
  if (!g->planned || g->run.mode != GRAPH_TRAIN)
    return fail(E_ARG, "graph_backward needs a planned training graph");
  enum status st = OK;
  g->backend->enter(g->run.device);
  for (int32_t i = g->n_nodes - 1; i >= 0 && st == OK; i--) {
    struct node *n = g->nodes[i];
    if (!n->out->wants_grad) continue;
    int64_t start = now(g);
    st = n->kernel->backward(n, &g->run);
    observe(g, n, NODE_BACKWARD, start);
    start = now(g);
    if (st == OK) st = merge_gradients(g, n);
    observe(g, n, NODE_MERGE, start);
    if (st != OK) fail_within(st, "%s backward", n->op->name);
  }
  return st;
}
