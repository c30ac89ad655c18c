#include "describe.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cost.h"
#include "nn/optimiser.h"
#include "run.h"
#include "step.h"

enum { NAME_SIZE = 96, SHAPE_SIZE = 64, MAX_GROUPS = 64 };

struct describe_options {
  struct train_options train;
  bool json;
};

/* What a node, a module, an op or the whole step costs. */
struct cost {
  int64_t calls, parameters, buffers; /* buffers: numbers that are kept, not trained */
  struct flops flops;
  double forward_bytes, backward_bytes;
};

struct group { /* nodes of one module, or of one op */
  char name[NAME_SIZE];
  struct shape shape; /* of a module: the last node's output */
  struct cost cost;
};

struct groups {
  struct group items[MAX_GROUPS];
  size_t n;
};

struct description {
  const struct describe_options *o;
  struct run run;
  struct groups modules, ops;
  struct cost total;
  struct graph_memory memory;
  size_t optimiser_bytes; /* of memory */
  size_t n_states;        /* numbers that the optimiser keeps per parameter */
  double update_bytes;    /* that the optimiser and the target networks' average move */
};

/* --- Costs ---------------------------------------------------------------------------------------------- */

static struct cost cost_of(const struct node_cost *n) {
  return (struct cost){
      .calls = 1, .flops = n->flops, .forward_bytes = n->forward_bytes, .backward_bytes = n->backward_bytes};
}

static void add_cost(struct cost *to, const struct cost *c) {
  to->calls += c->calls;
  to->parameters += c->parameters;
  to->buffers += c->buffers;
  to->flops.forward += c->flops.forward;
  to->flops.backward += c->flops.backward;
  to->forward_bytes += c->forward_bytes;
  to->backward_bytes += c->backward_bytes;
}

/* --- Who costs it --------------------------------------------------------------------------------------- */

/* The network that a parameter belongs to: "backbone" of "backbone.conv1.weight", "target.backbone". */
static void module_of(const char *parameter, char name[NAME_SIZE]) {
  size_t skip = strncmp(parameter, TARGET_PREFIX, strlen(TARGET_PREFIX)) == 0 ? strlen(TARGET_PREFIX) : 0;
  snprintf(name, NAME_SIZE, "%.*s", (int)(skip + strcspn(parameter + skip, ".")), parameter);
}

/* The layer: a parameter's name without its last part. */
static void layer_of(const char *parameter, char name[NAME_SIZE]) {
  const char *dot = parameter ? strrchr(parameter, '.') : NULL;
  snprintf(name, NAME_SIZE, "%.*s", dot ? (int)(dot - parameter) : 0, parameter ? parameter : "");
}

static struct group *group_named(struct groups *g, const char *name) {
  for (size_t i = 0; i < g->n; i++)
    if (strcmp(g->items[i].name, name) == 0) return &g->items[i];
  if (g->n == MAX_GROUPS) return &g->items[MAX_GROUPS - 1];
  struct group *next = &g->items[g->n++];
  snprintf(next->name, sizeof next->name, "%s", name);
  return next;
}

static void count_node(struct description *d, const struct node_cost *n) {
  char module[NAME_SIZE] = "(without parameters)";
  const struct cost c = cost_of(n);
  if (n->owner) module_of(n->owner, module);
  struct group *m = group_named(&d->modules, module);
  m->shape = n->shape;
  add_cost(&m->cost, &c);
  add_cost(&group_named(&d->ops, n->op)->cost, &c);
  add_cost(&d->total, &c);
}

static void count_tensor(struct description *d, const struct graph_tensor *t) {
  char module[NAME_SIZE];
  struct cost c = {0};
  *(t->trained ? &c.parameters : &c.buffers) = shape_count(t->shape);
  module_of(t->name, module);
  add_cost(&group_named(&d->modules, module)->cost, &c);
  add_cost(&d->total, &c);
}

static void count(struct description *d) {
  const struct step *s = d->run.step;
  const struct graph_tensor *kept;
  for (size_t i = 0, n = graph_n_nodes(s->graph); i < n; i++) {
    const struct node_cost c = graph_node_cost(s->graph, i);
    count_node(d, &c);
  }
  for (size_t i = 0, n = graph_tensors(s->graph, &kept); i < n; i++) count_tensor(d, &kept[i]);
  d->update_bytes = step_update_bytes(s, d->n_states);
  d->memory = graph_memory(s->graph);
  d->optimiser_bytes = d->n_states * d->memory.gradients;
}

static size_t memory_total(const struct description *d) {
  const struct graph_memory *m = &d->memory;
  return m->parameters + m->gradients + d->optimiser_bytes + m->buffers + m->inputs + m->arena +
         m->own.device;
}

/* --- As JSON -------------------------------------------------------------------------------------------- */

static json_t *shape_json(struct shape shape) {
  json_t *j = json_array();
  for (int i = 0; i < shape.n_dims; i++) json_array_append_new(j, json_integer(shape.dim[i]));
  return j;
}

static json_t *cost_json(const struct cost *c) {
  return json_pack("{s:I, s:I, s:I, s:{s:f, s:f}, s:{s:f, s:f}}", "calls", (json_int_t)c->calls, "parameters",
                   (json_int_t)c->parameters, "buffers", (json_int_t)c->buffers, "flops", "forward",
                   c->flops.forward, "backward", c->flops.backward, "bytes", "forward", c->forward_bytes,
                   "backward", c->backward_bytes);
}

/* With the shape that the last node puts out, where there is one. */
static json_t *groups_json(const struct groups *g) {
  json_t *all = json_array();
  for (size_t i = 0; i < g->n; i++) {
    json_t *one = cost_json(&g->items[i].cost);
    json_object_set_new(one, "name", json_string(g->items[i].name));
    if (g->items[i].shape.n_dims) json_object_set_new(one, "shape", shape_json(g->items[i].shape));
    json_array_append_new(all, one);
  }
  return all;
}

static json_t *graph_json(const struct graph *g) {
  json_t *all = json_array();
  for (size_t i = 0, n = graph_n_nodes(g); i < n; i++) {
    char layer[NAME_SIZE];
    const struct node_cost c = graph_node_cost(g, i);
    layer_of(c.owner, layer);
    json_array_append_new(all, json_pack("{s:s, s:s, s:o, s:{s:f, s:f}}", "op", c.op, "layer", layer, "shape",
                                         shape_json(c.shape), "flops", "forward", c.flops.forward, "backward",
                                         c.flops.backward));
  }
  return all;
}

static json_t *memory_json(const struct description *d) {
  const struct graph_memory *m = &d->memory;
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)m->parameters,
                   "gradients", (json_int_t)m->gradients, "optimiser", (json_int_t)d->optimiser_bytes,
                   "buffers", (json_int_t)m->buffers, "inputs", (json_int_t)m->inputs, "arena",
                   (json_int_t)m->arena, "backend", (json_int_t)m->own.device, "total",
                   (json_int_t)memory_total(d));
}

/* null: the device is no GPU. */
static json_t *gpu_json(const struct graph *g) {
  bool described;
  const char *name = graph_hardware(g, &described);
  return name ? json_pack("{s:s, s:b}", "name", name, "described", described) : json_null();
}

static enum status print_json(const struct description *d) {
  const struct train_options *o = &d->o->train;
  const struct step *s = d->run.step;
  const double step = d->total.flops.forward + d->total.flops.backward, images = (double)o->batch;
  json_t *j = json_pack(
      "{s:s, s:s, s:s, s:I, s:s, s:I, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:{s:f, s:f}, s:f, "
      "s:o, s:I}",
      "method", s->method->name, "base", s->base->name, "arch", o->model.arch, "width",
      (json_int_t)o->model.width, "stem", o->model.stem, "batch", (json_int_t)o->batch, "size",
      (int)d->run.size, "device", o->device.device, "precision", o->device.precision, "gpu",
      gpu_json(s->graph), "total", cost_json(&d->total), "modules", groups_json(&d->modules), "ops",
      groups_json(&d->ops), "graph", graph_json(s->graph), "flops", "step", step, "image", step / images,
      "update_bytes", d->update_bytes, "memory", memory_json(d), "pinned", (json_int_t)d->memory.own.pinned);
  if (!j) return fail(E_MEMORY, "out of memory");
  json_dumpf(j, stdout, JSON_INDENT(1));
  putchar('\n');
  json_decref(j);
  return OK;
}

/* --- For people ----------------------------------------------------------------------------------------- */

static void shape_as_text(struct shape s, char text[SHAPE_SIZE]) {
  int at = snprintf(text, SHAPE_SIZE, "[");
  for (int i = 0; i < s.n_dims && at < SHAPE_SIZE; i++)
    at += snprintf(text + at, (size_t)(SHAPE_SIZE - at), "%s%" PRId64 "%s", i ? "," : "", s.dim[i],
                   i + 1 == s.n_dims ? "]" : "");
}

static void print_graph(const struct graph *g) {
  printf("%-38s %-18s %-20s %12s %12s\n", "layer", "op", "output", "GF forward", "GF backward");
  for (size_t i = 0, n = graph_n_nodes(g); i < n; i++) {
    char layer[NAME_SIZE], shape[SHAPE_SIZE];
    const struct node_cost c = graph_node_cost(g, i);
    layer_of(c.owner, layer);
    shape_as_text(c.shape, shape);
    printf("%-38s %-18s %-20s %12.4f %12.4f\n", layer, c.op, shape, c.flops.forward / 1e9,
           c.flops.backward / 1e9);
  }
}

static void print_cost(const struct cost *c) {
  printf(" %6" PRId64 " %12.4f %12.4f %10.1f", c->calls, c->flops.forward / 1e9, c->flops.backward / 1e9,
         (c->forward_bytes + c->backward_bytes) / 1e6);
}

static const char cost_title[] = "  calls   GF forward  GF backward   MB moved";

static void print_modules(const struct description *d) {
  printf("\n%-26s%s %12s  last output\n", "module", cost_title, "parameters");
  for (size_t i = 0; i < d->modules.n; i++) {
    const struct group *g = &d->modules.items[i];
    char shape[SHAPE_SIZE];
    shape_as_text(g->shape, shape);
    printf("%-26s", g->name);
    print_cost(&g->cost);
    printf(" %12" PRId64 "  %s\n", g->cost.parameters, shape);
  }
  printf("%-26s", "in all");
  print_cost(&d->total);
  printf(" %12" PRId64 "\n", d->total.parameters);
}

static void print_ops(const struct groups *g) {
  printf("\n%-26s%s\n", "op", cost_title);
  for (size_t i = 0; i < g->n; i++) {
    printf("%-26s", g->items[i].name);
    print_cost(&g->items[i].cost);
    putchar('\n');
  }
}

/* What only backends with a device of their own take is left out where there is none. */
static void print_memory(const struct description *d) {
  const struct graph_memory *m = &d->memory;
  const struct {
    const char *name;
    size_t bytes;
  } rows[] = {{"parameters", m->parameters},
              {"gradients", m->gradients},
              {"optimiser state", d->optimiser_bytes},
              {"buffers", m->buffers},
              {"inputs", m->inputs},
              {"activations and scratch", m->arena},
              {"pixels and arguments", m->own.device},
              {"in all", memory_total(d)},
              {"pinned, of the host", m->own.pinned}};
  printf("\n%-26s %10s\n", "memory", "MB");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].bytes) printf("%-26s %10.1f\n", rows[i].name, (double)rows[i].bytes / 1e6);
}

static void print_device(const struct step *s, const struct device_options *o) {
  bool described;
  const char *gpu = graph_hardware(s->graph, &described);
  printf("%s", o->device);
  if (gpu) printf(" in %s (%s%s)", o->precision, gpu, described ? ", which is only described" : "");
}

static void print_text(const struct description *d) {
  const struct train_options *o = &d->o->train;
  const struct step *s = d->run.step;
  const double step = d->total.flops.forward + d->total.flops.backward;
  printf("%s with base %s; %s, width %" PRId64 ", %s stem; batch %" PRId64 ", views of %d pixels; ",
         s->method->name, s->base->name, o->model.arch, o->model.width, o->model.stem, o->batch, d->run.size);
  print_device(s, &o->device);
  printf("\n\n");
  print_graph(s->graph);
  print_modules(d);
  print_ops(&d->ops);
  print_memory(d);
  printf("\nper step   %.2f GFLOP, %.1f MB moved and %.1f MB by the update of the parameters\n"
         "per image  %.4f GFLOP (both views, forward and backward)\n"
         "A multiply-add counts as 2 FLOP. Bytes: every operand of a call once, as if nothing stayed in a "
         "cache.\n",
         step / 1e9, (d->total.forward_bytes + d->total.backward_bytes) / 1e6, d->update_bytes / 1e6,
         step / 1e9 / (double)o->batch);
}

/* --- The command ---------------------------------------------------------------------------------------- */

static enum status open_network(struct description *d) {
  const struct train_options *o = d->run.o;
  const struct optimiser *rule;
  enum status st = OK;
  TRY(run_resolve(&d->run));
  TRY(optimiser_find(&rule, o->optimiser.name ? o->optimiser.name : "sgd"));
  while (d->n_states < OPTIMISER_MAX_STATES && rule->state[d->n_states]) d->n_states++;
  TRY(run_open_step(&d->run, true));
out:
  return st;
}

static enum status describe_run(void *options) {
  struct describe_options *o = options;
  struct description d = {.o = o, .run = {.o = &o->train, .lock = -1}};
  enum status st = open_network(&d);
  if (st == OK) {
    count(&d);
    if (o->json)
      st = print_json(&d);
    else
      print_text(&d);
  }
  if (st == OK && fflush(stdout) != 0) st = fail(E_IO, "cannot write to the standard output");
  step_close(&d.run.step);
  policy_close(&d.run.policy);
  safetensors_close(&d.run.weights);
  return st;
}

static const struct opt describe_opts[] = {
    {"json", OPT_BOOL, offsetof(struct describe_options, json), NULL, "print JSON"},
    {"train", OPT_TABLE, offsetof(struct describe_options, train), .sub = train_opts},
    {0}};

const struct command describe_command = {
    .name = "describe",
    .summary = "graph, parameters, FLOPs and memory of a configuration; no data, workers or folder needed",
    .state_size = sizeof(struct describe_options),
    .opts = describe_opts,
    .presets = train_presets,
    .run = describe_run,
    .none_required = true};
