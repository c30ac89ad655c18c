/* Building: values, nodes, names. Planning is in plan.c, running in run.c.
 *
 * Value ids count tensors from 1 in order of creation; the gradient of value i is the value -i. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph_internal.h"

extern const struct backend *const backend_registry[];
extern const struct kernel *const kernel_registry[];

int64_t shape_count(struct shape shape) {
  int64_t count = 1;
  for (int i = 0; i < shape.n_dims; i++) count *= shape.dim[i];
  return count;
}

bool shape_equal(struct shape a, struct shape b) {
  if (a.n_dims != b.n_dims) return false;
  for (int i = 0; i < a.n_dims; i++) {
    if (a.dim[i] != b.dim[i]) return false;
  }
  return true;
}

void shape_text(struct shape s, char text[64]) {
  int at = snprintf(text, 64, "[");
  for (int i = 0; i < s.n_dims && at < 60; i++) {
    at += snprintf(text + at, (size_t)(64 - at), "%s%lld", i ? "," : "", (long long)s.dim[i]);
  }
  if (at < 63) snprintf(text + at, (size_t)(64 - at), "]");
}

const struct backend *backend_find(const char *name, size_t length) {
  for (const struct backend *const *b = backend_registry; *b; b++) {
    if (strlen((*b)->name) == length && memcmp((*b)->name, name, length) == 0) return *b;
  }
  return NULL;
}

const struct kernel *kernel_find(const char *op, const char *backend) {
  for (const struct kernel *const *k = kernel_registry; *k; k++) {
    if (strcmp((*k)->op, op) == 0 && strcmp((*k)->backend, backend) == 0) return *k;
  }
  return NULL;
}

/* Backends that a build may lack. */
static const struct {
  const char *name, *with, *how;
} optional[] = {{"cuda", "CUDA", "build it where nvcc of CUDA 13 is on the PATH (make CUDA=1)"},
                {"cpu", "oneDNN and OpenBLAS", "build it with make CPU_MATH=1"}};

static enum status unknown_device(const char *device) {
  char known[128] = "";
  for (const struct backend *const *b = backend_registry; *b; b++) {
    size_t at = strlen(known);
    snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", (*b)->name);
  }
  for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
    const size_t length = strlen(optional[i].name);
    if (strcspn(device, ":") == length && memcmp(device, optional[i].name, length) == 0)
      return fail(E_ARG, "--device %s: this build was made without %s; %s, or use: %s", device,
                  optional[i].with, optional[i].how, known);
  }
  return fail(E_ARG, "unknown device '%s'; this build has: %s", device, known);
}

enum status backend_open(const struct backend **backend, void **device, const struct graph_config *config) {
  *backend = NULL;
  if (config->threads < 0)
    return fail(E_ARG, "threads must be 0 (all cores) or more, not %d", config->threads);
  const struct backend *b = backend_find(config->device, strcspn(config->device, ":"));
  enum status st = b ? b->open(device, config) : unknown_device(config->device);
  if (st == OK) *backend = b;
  return st;
}

enum status graph_open(struct graph **out, const struct graph_config *config) {
  *out = NULL;
  struct graph *g = calloc(1, sizeof *g);
  if (!g) return fail(E_MEMORY, "out of memory for a graph");
  g->run.mode = config->mode;
  g->run.bn_momentum = 0.1;
  g->plan_only = config->plan_only;
  enum status st = backend_open(&g->backend, &g->run.device, config);
  if (st != OK) {
    free(g);
    return st;
  }
  *out = g;
  return OK;
}

static void node_free(struct node *n) {
  if (!n) return;
  if (n->kernel && n->kernel->release) n->kernel->release(n);
  free(n->attr);
  free(n->in);
  free(n->in_grad);
  free(n->accumulate);
  free(n->merge);
  free(n);
}

void graph_close(struct graph **graph) {
  struct graph *g = *graph;
  if (!g) return;
  if (g->backend->drain) g->backend->drain(g->run.device);
  for (int32_t i = 0; i < g->n_nodes; i++) node_free(g->nodes[i]);
  for (int32_t i = 0; i < g->n_tensors; i++) {
    free(g->tensors[i]->name);
    free(g->tensors[i]);
  }
  void *memory[] = {g->params, g->grads, g->state, g->arena};
  for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
    if (memory[i]) g->backend->release(g->run.device, memory[i]);
  }
  g->backend->close(g->run.device);
  free(g->tensors);
  free(g->nodes);
  free(g->listed);
  free(g);
  *graph = NULL;
}

void graph_fail(struct graph *g, enum status status, const char *format, ...) {
  if (g->error != OK) return;
  va_list args;
  va_start(args, format);
  vsnprintf(g->error_text, sizeof g->error_text, format, args);
  va_end(args);
  g->error = status;
}

void graph_fail_shapes(struct graph *g, const char *op, const char *what, const struct value *in, int n_in) {
  char shapes[512] = "";
  for (int i = 0; i < n_in; i++) {
    char one[64];
    shape_text(graph_shape(g, in[i]), one);
    size_t at = strlen(shapes);
    snprintf(shapes + at, sizeof shapes - at, " %s", one);
  }
  graph_fail(g, E_SHAPE, "%s: %s; inputs are%s", op, what, shapes);
}

struct tensor *graph_lookup(const struct graph *g, struct value v) {
  int32_t id = v.id < 0 ? -v.id : v.id;
  return id > 0 && id <= g->n_tensors ? g->tensors[id - 1] : NULL;
}

const struct tensor *graph_tensor_of(const struct graph *g, struct value v) { return graph_lookup(g, v); }

enum graph_mode graph_mode_of(const struct graph *g) { return g->run.mode; }

struct shape graph_shape(const struct graph *g, struct value v) {
  const struct tensor *t = graph_lookup(g, v);
  return t ? t->shape : (struct shape){0};
}

/* Room for one more pointer; false after recording E_MEMORY. */
static bool make_room(struct graph *g, void ***items, int32_t count, int32_t *room) {
  if (count < *room) return true;
  int32_t wanted = *room ? 2 * *room : 64;
  void **grown = realloc(*items, (size_t)wanted * sizeof **items);
  if (!grown) {
    graph_fail(g, E_MEMORY, "out of memory for a graph of %d values", (int)count);
    return false;
  }
  *items = grown;
  *room = wanted;
  return true;
}

/* A new tensor, id 0 on failure. */
static struct value add_tensor(struct graph *g, enum tensor_role role, const char *name, struct shape shape,
                               struct init init) {
  for (int i = 0; i < shape.n_dims; i++) {
    if (shape.dim[i] > 0) continue;
    char text[64];
    shape_text(shape, text);
    graph_fail(g, E_SHAPE, "%s has the empty shape %s", name ? name : "a value", text);
    return (struct value){0};
  }
  if (!make_room(g, (void ***)&g->tensors, g->n_tensors, &g->tensor_room)) return (struct value){0};
  struct tensor *t = calloc(1, sizeof *t);
  char *copy = name ? strdup(name) : NULL;
  if (!t || (name && !copy)) {
    free(t);
    free(copy);
    graph_fail(g, E_MEMORY, "out of memory for a graph value");
    return (struct value){0};
  }
  t->role = role;
  t->name = copy;
  t->shape = shape;
  t->init = init;
  g->tensors[g->n_tensors++] = t;
  return (struct value){g->n_tensors};
}

struct value graph_find(const struct graph *g, const char *name) {
  for (int32_t i = 0; i < g->n_tensors; i++) {
    if (g->tensors[i]->name && strcmp(g->tensors[i]->name, name) == 0) return (struct value){i + 1};
  }
  return (struct value){0};
}

/* A named value: the one that has the name already if it is of the same kind and shape. */
static struct value add_named(struct graph *g, enum tensor_role role, const char *name, struct shape shape,
                              struct init init) {
  struct value v = graph_find(g, name);
  if (!v.id) return add_tensor(g, role, name, shape, init);
  const struct tensor *t = graph_lookup(g, v);
  if (t->role == role && role != TENSOR_INPUT && shape_equal(t->shape, shape)) return v;
  char had[64], wants[64];
  shape_text(t->shape, had);
  shape_text(shape, wants);
  graph_fail(g, E_ARG, "the name '%s' is taken by a value of shape %s; it cannot be one of shape %s as well",
             name, had, wants);
  return v;
}

struct value graph_input(struct graph *g, const char *name, struct shape shape) {
  return add_named(g, TENSOR_INPUT, name, shape, (struct init){INIT_ZERO, 0});
}

struct value graph_param(struct graph *g, const char *name, struct shape shape, struct init init) {
  return add_named(g, TENSOR_PARAM, name, shape, init);
}

struct value graph_buffer(struct graph *g, const char *name, struct shape shape, struct init init) {
  return add_named(g, TENSOR_BUFFER, name, shape, init);
}

struct value graph_shadow(struct graph *g, const char *name, struct value of) {
  const struct tensor *t = graph_lookup(g, of);
  if (!t || (t->role != TENSOR_PARAM && t->role != TENSOR_BUFFER)) {
    graph_fail(g, E_ARG, "%s cannot stand for what is neither a parameter nor a buffer", name);
    return (struct value){0};
  }
  struct value v = graph_buffer(g, name, t->shape, t->init);
  struct tensor *shadow = graph_lookup(g, v);
  if (shadow) shadow->shadow_of = t;
  return v;
}

void graph_output(struct graph *g, const char *name, struct value v) {
  struct tensor *t = graph_lookup(g, v);
  if (!t) return;
  if (graph_find(g, name).id || t->name) {
    graph_fail(g, E_ARG, "output '%s': the name is taken or the value has one already", name);
    return;
  }
  t->name = strdup(name);
  if (!t->name) graph_fail(g, E_MEMORY, "out of memory for the output '%s'", name);
  t->output = true;
}

/* Checks and copies what a new node refers to. */
static bool node_fill(struct graph *g, struct node *n, const void *attr, size_t attr_size,
                      const struct value *in) {
  if (n->n_in > 64) {
    graph_fail(g, E_ARG, "%s: at most 64 inputs, not %d", n->op->name, n->n_in);
    return false;
  }
  size_t count = (size_t)n->n_in;
  n->attr = malloc(attr_size ? attr_size : 1);
  n->in = calloc(count, sizeof *n->in); // NOLINT(bugprone-sizeof-expression): an array of pointers
  n->in_grad = calloc(count, sizeof *n->in_grad);
  n->accumulate = calloc(count, sizeof *n->accumulate);
  n->merge = calloc(count, sizeof *n->merge);
  if (!n->attr || !n->in || !n->in_grad || !n->accumulate || !n->merge) {
    graph_fail(g, E_MEMORY, "out of memory for a %s node", n->op->name);
    return false;
  }
  if (attr_size) memcpy(n->attr, attr, attr_size);
  for (int i = 0; i < n->n_in; i++) {
    n->in[i] = graph_lookup(g, in[i]);
    if (n->in[i] && in[i].id > 0) continue;
    graph_fail(g, E_ARG, "%s: input %d is no value of this graph", n->op->name, i);
    return false;
  }
  return true;
}

struct value graph_node(struct graph *g, const struct op *op, const void *attr, size_t attr_size,
                        const struct value *in, int n_in, struct shape out) {
  if (g->planned) graph_fail(g, E_ARG, "%s: the graph is already planned", op->name);
  if (g->error != OK) return add_tensor(g, TENSOR_RESULT, NULL, out, (struct init){INIT_ZERO, 0});
  struct node *n = NULL;
  if (make_room(g, (void ***)&g->nodes, g->n_nodes, &g->node_room)) n = calloc(1, sizeof *n);
  if (!n) {
    graph_fail(g, E_MEMORY, "out of memory for a %s node", op->name);
    return (struct value){0};
  }
  g->nodes[g->n_nodes++] = n;
  n->op = op;
  n->n_in = n_in;
  if (!node_fill(g, n, attr, attr_size, in)) return (struct value){0};
  struct value v = add_tensor(g, TENSOR_RESULT, NULL, out, (struct init){INIT_ZERO, 0});
  n->out = graph_lookup(g, v);
  return v;
}

size_t graph_tensors(const struct graph *g, const struct graph_tensor **tensors) {
  *tensors = g->listed;
  return g->n_listed;
}

struct value graph_gradient(const struct graph *g, struct value v) {
  const struct tensor *t = v.id > 0 ? graph_lookup(g, v) : NULL;
  bool readable = t && t->grad && (t->role == TENSOR_PARAM || t->output);
  return (struct value){readable ? -v.id : 0};
}

void graph_set_bn_momentum(struct graph *g, double momentum) { g->run.bn_momentum = momentum; }

const char *graph_hardware(const struct graph *g, bool *described) {
  *described = false;
  return g->backend->hardware ? g->backend->hardware(g->run.device, described) : NULL;
}

size_t graph_arena_bytes(const struct graph *g) { return g->arena_bytes; }
size_t graph_param_bytes(const struct graph *g) { return g->param_bytes + g->trained_bytes; }

struct param_block graph_param_block(const struct graph *g) {
  return (struct param_block){g->backend, g->run.device, g->params, g->grads, g->trained_bytes};
}
