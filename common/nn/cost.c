#include "nn/cost.h"

#include "nn/graph_internal.h"

/* Inputs, output and what is saved for the backward pass. */
static double forward_bytes(const struct node *n) {
  double sum = (double)(n->out->bytes + n->saved_bytes);
  for (int k = 0; k < n->n_in; k++) sum += (double)n->in[k]->bytes;
  return sum;
}

/* The gradient that comes in, what was kept, and the gradients that go out. */
static double backward_bytes(const struct node *n) {
  double sum = (double)(n->out->bytes + n->saved_bytes) + (n->keep_out ? (double)n->out->bytes : 0);
  for (int k = 0; k < n->n_in; k++) {
    if (n->keep_in >> k & 1) sum += (double)n->in[k]->bytes;
    if (node_differentiates(n, k)) sum += (double)n->in[k]->bytes;
  }
  return sum;
}

static const char *owner_of(const struct node *n) {
  for (int k = 0; k < n->n_in; k++)
    if (n->in[k]->role == TENSOR_PARAM || n->in[k]->role == TENSOR_BUFFER) return n->in[k]->name;
  return NULL;
}

size_t graph_n_nodes(const struct graph *g) { return (size_t)g->n_nodes; }

struct node_cost graph_node_cost(const struct graph *g, size_t i) {
  return node_cost_of(g, g->nodes[i]);
}

struct node_cost node_cost_of(const struct graph *g, const struct node *n) {
  const bool backward = g->run.mode == GRAPH_TRAIN && n->out->wants_grad;
  struct node_cost c = {n->op->name, owner_of(n), n->out->shape, {0, 0}, forward_bytes(n), 0};
  if (n->op->flops) c.flops = n->op->flops(n);
  if (backward)
    c.backward_bytes = backward_bytes(n);
  else
    c.flops.backward = 0;
  return c;
}

struct tensor_cost graph_tensor_cost(const struct graph *g, struct value v) {
  const struct tensor *t = graph_lookup(g, v);
  if (!t) return (struct tensor_cost){0};
  return (struct tensor_cost){t->bytes, t->role == TENSOR_PARAM && t->wants_grad,
                              t->shadow_of && t->shadow_of->role == TENSOR_PARAM};
}

/* As graph_write_pixels takes them: a byte per number. */
static size_t image_bytes(const struct tensor *t) {
  return t->shape.n_dims == 4 && t->shape.dim[1] == 3 ? (size_t)shape_count(t->shape) : 0;
}

struct graph_memory graph_memory(const struct graph *g) {
  struct graph_memory m = {.arena = g->arena_bytes};
  size_t images = 0;
  for (int32_t i = 0; i < g->n_tensors; i++) {
    const struct tensor *t = g->tensors[i];
    if (t->role == TENSOR_PARAM) m.parameters += rounded(t->bytes);
    if (t->role == TENSOR_PARAM && t->wants_grad) m.gradients += rounded(t->bytes);
    if (t->role == TENSOR_BUFFER) m.buffers += rounded(t->bytes);
    if (t->role != TENSOR_INPUT) continue;
    m.inputs += rounded(t->bytes);
    if (image_bytes(t) > images) images = image_bytes(t);
  }
  if (g->backend->own_memory) m.own = g->backend->own_memory(images);
  return m;
}
