/* Planning: which gradients are needed, the kernel and layout of every node, and one address for every byte.
 *
 * Time: forward of node i happens at i, its backward at 2n-1-i. Every activation, gradient, saved state and
 * scratch is an interval on that line; intervals that do not overlap may share memory. Blocks are placed
 * largest first, each at the lowest offset that is free for its whole interval. */
#include <stdlib.h>
#include <string.h>

#include "nn/graph_internal.h"

struct block {
  size_t bytes, offset;
  int32_t from, to; /* both inclusive */
  void **where;
};

struct planner {
  struct graph *g;
  struct tensor *root; /* NULL: forward only */
  struct block *blocks;
  size_t n_blocks, room;
  int32_t *last_use, *first_grad; /* per tensor, by position in graph->tensors */
};

static bool training(const struct graph *g) { return g->run.mode == GRAPH_TRAIN; }

/* --- What is differentiated ----------------------------------------------------------------------------- */

static bool differentiates(const struct node *n, int i) { return !(n->op->constant >> i & 1); }

static void mark_gradients(struct graph *g, struct tensor *root) {
  for (int32_t i = 0; i < g->n_tensors; i++) g->tensors[i]->wants_grad = g->tensors[i]->role == TENSOR_PARAM;
  for (int32_t i = 0; i < g->n_nodes; i++) {
    struct node *n = g->nodes[i];
    for (int k = 0; k < n->n_in; k++) n->out->wants_grad |= differentiates(n, k) && n->in[k]->wants_grad;
  }
  /* grad is borrowed as a mark here; it gets its address when memory is placed. */
  root->grad = root;
  for (int32_t i = g->n_nodes - 1; i >= 0; i--) {
    struct node *n = g->nodes[i];
    if (!n->out->grad || !n->out->wants_grad) continue;
    for (int k = 0; k < n->n_in; k++) {
      if (differentiates(n, k) && n->in[k]->wants_grad) n->in[k]->grad = root;
    }
  }
  for (int32_t i = 0; i < g->n_tensors; i++) {
    g->tensors[i]->wants_grad = g->tensors[i]->wants_grad && g->tensors[i]->grad;
    g->tensors[i]->grad = NULL;
    g->tensors[i]->gradients = 0;
  }
  for (int32_t i = 0; i < g->n_nodes; i++) {
    struct node *n = g->nodes[i];
    for (int k = 0; k < n->n_in; k++) n->in[k]->gradients += node_differentiates(n, k);
  }
}

/* --- Kernels and layouts -------------------------------------------------------------------------------- */

bool tensor_lay_out(struct tensor *t, struct layout layout) {
  if (!t->laid_out) {
    t->layout = layout;
    t->laid_out = true;
    return true;
  }
  return layout_equal(t->layout, layout);
}

/* Shadows lie in memory as what they stand for, whose kernel came before theirs. */
static void lay_out_shadows(const struct node *n) {
  for (int k = 0; k < n->n_in; k++) {
    struct tensor *t = n->in[k];
    if (t->shadow_of && t->shadow_of->laid_out) tensor_lay_out(t, t->shadow_of->layout);
  }
}

static enum status check_shadow(const struct tensor *t) {
  const struct tensor *of = t->shadow_of;
  if (!of || layout_equal(t->layout, of->layout)) return OK;
  return fail(E_DEVICE, "%s was used before %s and lies otherwise in memory", t->name, of->name);
}

/* A backend with one rule for all leaves nothing to choose. */
static void lay_out_all(struct graph *g) {
  for (int32_t i = 0; i < g->n_tensors && g->backend->layout; i++)
    tensor_lay_out(g->tensors[i], g->backend->layout(g->run.device, g->tensors[i]));
}

static enum status prepare_nodes(struct graph *g) {
  lay_out_all(g);
  for (int32_t i = 0; i < g->n_nodes; i++) {
    struct node *n = g->nodes[i];
    const struct kernel *kernel = kernel_find(n->op->name, g->backend->name);
    if (!kernel) return fail(E_DEVICE, "no %s kernel for %s", g->backend->name, n->op->name);
    n->kernel = kernel;
    lay_out_shadows(n);
    enum status st = kernel->prepare ? kernel->prepare(n, &g->run) : OK;
    if (st != OK) return fail_within(st, "%s", n->op->name);
    n->out->laid_out = true;
  }
  for (int32_t i = 0; i < g->n_tensors; i++) {
    struct tensor *t = g->tensors[i];
    t->laid_out = true; /* whatever nobody cared for stays row-major */
    t->bytes = g->backend->bytes(&t->shape, t->layout);
  }
  enum status st = OK;
  for (int32_t i = 0; i < g->n_tensors && st == OK; i++) st = check_shadow(g->tensors[i]);
  return st;
}

/* --- Persistent memory ---------------------------------------------------------------------------------- */

/* Gives offsets in one allocation to the tensors that `in_group` selects; `grads`: to their gradients. */
static enum status place_group(struct graph *g, bool (*in_group)(const struct tensor *), bool grads,
                               void **memory, size_t *total) {
  *total = 0;
  for (int32_t i = 0; i < g->n_tensors; i++) {
    if (in_group(g->tensors[i])) *total += rounded(g->tensors[i]->bytes);
  }
  if (*total == 0 || g->plan_only) return OK;
  enum status st = g->backend->alloc(g->run.device, *total, memory);
  if (st != OK) return st;
  char *at = *memory;
  for (int32_t i = 0; i < g->n_tensors; i++) {
    struct tensor *t = g->tensors[i];
    if (!in_group(t)) continue;
    *(grads ? &t->grad : &t->data) = at;
    at += rounded(t->bytes);
  }
  return OK;
}

static bool is_trained(const struct tensor *t) { return t->role == TENSOR_PARAM && t->wants_grad; }
static bool is_fixed(const struct tensor *t) {
  return t->role == TENSOR_INPUT || t->role == TENSOR_BUFFER || (t->role == TENSOR_PARAM && !t->wants_grad);
}

static enum status place_persistent(struct graph *g) {
  size_t grad_bytes = 0;
  enum status st = place_group(g, is_trained, false, &g->params, &g->trained_bytes);
  if (st == OK) st = place_group(g, is_trained, true, &g->grads, &grad_bytes);
  if (st == OK) st = place_group(g, is_fixed, false, &g->state, &g->param_bytes);
  g->param_bytes += grad_bytes;
  return st;
}

/* --- The arena ------------------------------------------------------------------------------------------ */

static enum status add_block(struct planner *p, size_t bytes, int32_t from, int32_t to, void **where) {
  if (bytes == 0) return OK;
  if (p->n_blocks == p->room) {
    size_t room = p->room ? 2 * p->room : 256;
    struct block *grown = realloc(p->blocks, room * sizeof *grown);
    if (!grown) return fail(E_MEMORY, "out of memory while planning");
    p->blocks = grown;
    p->room = room;
  }
  p->blocks[p->n_blocks++] = (struct block){rounded(bytes), 0, from, to, where};
  return OK;
}

static int32_t position_of(const struct graph *g, const struct tensor *t) {
  for (int32_t i = 0; i < g->n_tensors; i++) {
    if (g->tensors[i] == t) return i;
  }
  return -1;
}

static int32_t later(int32_t a, int32_t b) { return a > b ? a : b; }

/* The intervals of results and their gradients, from how the nodes use them. */
static void find_uses(struct planner *p) {
  struct graph *g = p->g;
  int32_t n_nodes = g->n_nodes, end = 2 * n_nodes;
  for (int32_t i = 0; i < n_nodes; i++) {
    struct node *n = g->nodes[i];
    int32_t backward = 2 * n_nodes - 1 - i, out = position_of(g, n->out);
    bool goes_back = training(g) && n->out->wants_grad;
    p->last_use[out] = n->out->output || n->out == p->root ? end : i;
    if (goes_back && n->keep_out && p->last_use[out] < backward) p->last_use[out] = backward;
    for (int k = 0; k < n->n_in; k++) {
      int32_t in = position_of(g, n->in[k]);
      bool kept = goes_back && (n->keep_in >> k & 1);
      p->last_use[in] = later(p->last_use[in], kept ? backward : i);
      /* Nodes come in forward order, so the last one seen is the first to write this gradient. */
      if (goes_back && n->in[k]->wants_grad && differentiates(n, k)) p->first_grad[in] = backward;
    }
  }
  if (p->root) p->first_grad[position_of(g, p->root)] = n_nodes;
}

/* Where each gradient contribution goes: the first one straight into the gradient, the others added to it. */
static enum status route_gradients(struct planner *p, struct node *n, int32_t backward) {
  enum status st = OK;
  for (int k = 0; k < n->n_in && st == OK; k++) {
    struct tensor *in = n->in[k];
    if (!in->wants_grad || !differentiates(n, k)) continue;
    bool first = p->first_grad[position_of(p->g, in)] == backward;
    for (int j = 0; j < k; j++) first = first && n->in[j] != in;
    n->accumulate[k] = !first && n->kernel->accumulates;
    n->merge[k] = in; /* the addresses follow when memory is placed: see bind_nodes */
    if (!first && !n->kernel->accumulates) st = add_block(p, in->bytes, backward, backward, &n->in_grad[k]);
  }
  return st;
}

static enum status collect_twins(struct planner *p) {
  struct graph *g = p->g;
  enum status st = OK;
  for (int32_t i = 0; i < g->n_tensors && st == OK; i++) {
    struct tensor *t = g->tensors[i];
    st = add_block(p, t->data_twin.bytes, 0, p->last_use[i], &t->data_twin.at);
    if (st == OK) st = add_block(p, t->grad_twin.bytes, p->first_grad[i], 2 * g->n_nodes, &t->grad_twin.at);
  }
  return st;
}

static enum status collect_blocks(struct planner *p) {
  struct graph *g = p->g;
  int32_t n_nodes = g->n_nodes, end = 2 * n_nodes;
  find_uses(p);
  enum status st = collect_twins(p);
  for (int32_t i = 0; i < n_nodes && st == OK; i++) {
    struct node *n = g->nodes[i];
    int32_t backward = 2 * n_nodes - 1 - i, out = position_of(g, n->out);
    bool goes_back = training(g) && n->out->wants_grad;
    st = add_block(p, n->out->bytes, i, p->last_use[out], &n->out->data);
    if (st == OK) st = add_block(p, n->forward_scratch, i, i, &n->scratch_f);
    if (st == OK) st = add_block(p, n->constant_bytes, 0, end, &n->constant);
    if (st != OK || !goes_back) continue;
    bool kept = n->out->output || n->out == p->root;
    st = add_block(p, n->out->bytes, kept ? 0 : p->first_grad[out], kept ? end : backward, &n->out->grad);
    if (st == OK) st = add_block(p, n->saved_bytes, i, backward, &n->saved);
    if (st == OK) st = add_block(p, n->backward_scratch, backward, backward, &n->scratch_b);
    if (st == OK) st = route_gradients(p, n, backward);
  }
  return st;
}

static int larger_first(const void *a, const void *b) {
  const struct block *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  if (x->from != y->from) return x->from < y->from ? -1 : 1;
  return (x->to > y->to) - (x->to < y->to);
}

static int by_offset(const void *a, const void *b) {
  const struct block *x = *(struct block *const *)a, *y = *(struct block *const *)b;
  return (x->offset > y->offset) - (x->offset < y->offset);
}

static enum status place_arena(struct planner *p) {
  struct graph *g = p->g;
  if (p->n_blocks == 0) return OK;
  struct block **busy = malloc(p->n_blocks * sizeof(struct block *));
  if (!busy) return fail(E_MEMORY, "out of memory while planning");
  qsort(p->blocks, p->n_blocks, sizeof *p->blocks, larger_first);
  for (size_t i = 0; i < p->n_blocks; i++) {
    struct block *b = &p->blocks[i];
    size_t n_busy = 0;
    for (size_t j = 0; j < i; j++) {
      if (p->blocks[j].from <= b->to && b->from <= p->blocks[j].to) busy[n_busy++] = &p->blocks[j];
    }
    qsort(busy, n_busy, sizeof *busy, by_offset); // NOLINT(bugprone-sizeof-expression): an array of pointers
    for (size_t j = 0; j < n_busy && busy[j]->offset < b->offset + b->bytes; j++) {
      size_t behind = busy[j]->offset + busy[j]->bytes;
      if (behind > b->offset) b->offset = behind;
    }
    if (g->arena_bytes < b->offset + b->bytes) g->arena_bytes = b->offset + b->bytes;
  }
  free(busy);
  if (g->plan_only) return OK;
  enum status st = g->backend->alloc(g->run.device, g->arena_bytes, &g->arena);
  for (size_t i = 0; i < p->n_blocks && st == OK; i++)
    *p->blocks[i].where = (char *)g->arena + p->blocks[i].offset;
  return st;
}

/* --- The end of planning -------------------------------------------------------------------------------- */

static enum status bind_nodes(struct graph *g) {
  for (int32_t i = 0; i < g->n_nodes; i++) {
    struct node *n = g->nodes[i];
    for (int k = 0; k < n->n_in; k++) {
      bool temporary = n->in_grad[k] != NULL;
      if (n->merge[k] && !temporary) n->in_grad[k] = n->in[k]->grad;
      n->merge[k] = temporary ? n->in[k]->grad : NULL;
    }
    enum status st = n->kernel->bind ? n->kernel->bind(n, &g->run) : OK;
    if (st != OK) return fail_within(st, "%s", n->op->name);
  }
  return OK;
}

static enum status list_tensors(struct graph *g) {
  g->listed = calloc((size_t)g->n_tensors + 1, sizeof *g->listed);
  if (!g->listed) return fail(E_MEMORY, "out of memory while planning");
  for (int pass = 0; pass < 2; pass++) {
    enum tensor_role role = pass == 0 ? TENSOR_PARAM : TENSOR_BUFFER;
    for (int32_t i = 0; i < g->n_tensors; i++) {
      const struct tensor *t = g->tensors[i];
      if (t->role == role)
        g->listed[g->n_listed++] = (struct graph_tensor){t->name, {i + 1}, t->shape, pass == 0};
    }
  }
  return OK;
}

/* The derivative of the loss by itself; it stays there for every step. */
static enum status seed_gradient(struct graph *g, struct tensor *root) {
  const double one = 1;
  if (!root->grad || shape_count(root->shape) != 1) return OK;
  return g->backend->upload(g->run.device, root, root->grad, &one, true);
}

static enum status plan_memory(struct graph *g, struct tensor *root) {
  struct planner p = {.g = g, .root = root};
  enum status st = place_persistent(g);
  p.last_use = calloc((size_t)g->n_tensors + 1, sizeof *p.last_use);
  p.first_grad = calloc((size_t)g->n_tensors + 1, sizeof *p.first_grad);
  if (st == OK && (!p.last_use || !p.first_grad)) st = fail(E_MEMORY, "out of memory while planning");
  if (st == OK) st = collect_blocks(&p);
  if (st == OK) st = place_arena(&p);
  free(p.blocks);
  free(p.last_use);
  free(p.first_grad);
  return st;
}

enum status graph_plan_vjp(struct graph *g, struct value root_value) {
  if (g->error != OK) return fail(g->error, "%s", g->error_text);
  if (g->planned) return fail(E_ARG, "the graph is already planned");
  struct tensor *root = training(g) && root_value.id > 0 ? graph_lookup(g, root_value) : NULL;
  if (training(g) && (!root || root->role != TENSOR_RESULT)) {
    return fail(E_ARG, "a training graph needs a loss that an op computes");
  }
  enum status st = OK;
  g->planned = true;
  g->backend->enter(g->run.device);
  if (root) mark_gradients(g, root);
  TRY(prepare_nodes(g));
  TRY(plan_memory(g, root));
  TRY(list_tensors(g));
  if (g->plan_only) return OK;
  TRY(bind_nodes(g));
  if (root) TRY(seed_gradient(g, root));
out:
  return st;
}

enum status graph_plan(struct graph *g, struct value loss) {
  const struct tensor *t = graph_lookup(g, loss);
  if (g->error == OK && g->run.mode == GRAPH_TRAIN && t && shape_count(t->shape) != 1) {
    char text[64];
    shape_text(t->shape, text);
    return fail(E_SHAPE, "the loss must be one number, not %s", text);
  }
  return graph_plan_vjp(g, loss);
}
