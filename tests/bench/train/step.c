/* step: times training steps (forward, backward, update) on random images, and says where the time goes. One
 * JSON line: median and minimum seconds per step, images per second (an image has two views), milliseconds
 * per op and phase in steps of their own, which are not timed, and a digest of the weights after all steps. With --roofline
 * also the milliseconds that every op and phase would need at the rates that this device reaches. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cli.h"
#include "base/clock.h"
#include "nn/engine.h"
#include "nn/roofline.h"
#include "train/trial.h"

struct options {
  struct model_options model;
  struct method_options method;
  struct optimiser_options optimiser;
  struct device_options device;
  int64_t size, batch, warmup, steps;
  bool profile, roofline;
};

static const struct opt opts[] = {
    {.name = "model", .type = OPT_TABLE, .offset = offsetof(struct options, model), .sub = model_opts},
    {.name = "method", .type = OPT_TABLE, .offset = offsetof(struct options, method), .sub = method_opts},
    {.name = "optimiser",
     .type = OPT_TABLE,
     .offset = offsetof(struct options, optimiser),
     .sub = optimiser_opts},
    {.name = "device", .type = OPT_TABLE, .offset = offsetof(struct options, device), .sub = device_opts},
    {"size", OPT_INT, offsetof(struct options, size), "96", "pixels of a view's side"},
    {"batch", OPT_INT, offsetof(struct options, batch), "64", "images per step, two views each"},
    {"warmup", OPT_INT, offsetof(struct options, warmup), "2", "steps that are not timed"},
    {"steps", OPT_INT, offsetof(struct options, steps), "10", "steps that are timed"},
    {"profile", OPT_BOOL, offsetof(struct options, profile), NULL,
     "print the time of every op of a step on stderr"},
    {"roofline", OPT_BOOL, offsetof(struct options, roofline), NULL,
     "measure what this device reaches, and say what every op would take at that"},
    {0}};

enum { PROFILED = 3 };

/* Time per op and phase over the observed steps. */
struct profile {
  const struct graph *graph;
  struct roofline roofline; /* zeros: not measured */
  json_t *sums, *least;     /* "conv2d backward" -> nanoseconds */
  bool each;
};

static const char *const phase_names[] = {"forward", "backward", "merge"};

static void add_time(json_t *sums, const char *key, int64_t ns) {
  json_object_set_new(sums, key, json_integer(json_integer_value(json_object_get(sums, key)) + ns));
}

/* What a call needs at the device's rates; 0: they were not measured, or the call only adds up. */
static int64_t least_ns(const struct profile *p, const struct node *node, enum node_phase phase) {
  const struct node_cost c = node_cost_of(p->graph, node);
  if (!p->roofline.flops || phase == NODE_MERGE) return 0;
  return (int64_t)(1e9 * (phase == NODE_FORWARD
                              ? roofline_seconds(&p->roofline, c.flops.forward, c.forward_bytes)
                              : roofline_seconds(&p->roofline, c.flops.backward, c.backward_bytes)));
}

static void observe(void *context, const struct node *node, enum node_phase phase, int64_t ns) {
  struct profile *p = context;
  char key[64], in[64], out[64];
  if (phase == NODE_MERGE && ns < 2000) return; /* nothing to merge */
  snprintf(key, sizeof key, "%s %s", node->op->name, phase_names[phase]);
  add_time(p->sums, key, ns);
  const int64_t least = least_ns(p, node, phase);
  if (least) add_time(p->least, key, least);
  if (!p->each) return;
  shape_text(node->in[0]->shape, in);
  shape_text(node->out->shape, out);
  fprintf(stderr, "%9.3f ms, at least %.3f  %-24s %s -> %s (%d inputs, blocks of %d)\n", (double)ns * 1e-6,
          (double)least * 1e-6, key, in, out, node->n_in, (int)node->out->layout.block);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Nanoseconds of all observed steps as milliseconds of one. */
static json_t *ms_of(json_t *sums) {
  const char *key;
  json_t *value, *ms = json_object();
  json_object_foreach(sums, key, value) {
    json_object_set_new(ms, key, json_real((double)json_integer_value(value) * 1e-6 / PROFILED));
  }
  return ms;
}

static void print_result(const struct options *o, const struct step *s, double *seconds,
                         const struct profile *p, uint64_t digest) {
  qsort(seconds, (size_t)o->steps, sizeof *seconds, ascending);
  double median = seconds[o->steps / 2];
  char text[17];
  snprintf(text, sizeof text, "%016" PRIx64, digest);
  json_t *line = json_pack(
      "{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:s,s:o}", "method", o->method.method, "arch",
      o->model.arch, "device", o->device.device, "precision", o->device.precision, "threads",
      (json_int_t)o->device.threads, "batch", (json_int_t)o->batch, "size", (json_int_t)o->size, "median_s",
      median, "min_s", seconds[0], "images_per_s", (double)o->batch / median, "arena_mib",
      (double)graph_arena_bytes(s->graph) / 0x1p20, "params_mib",
      (double)graph_param_bytes(s->graph) / 0x1p20, "digest", text, "ms_per_op", ms_of(p->sums));
  if (o->roofline) json_object_set_new(line, "least_ms_per_op", ms_of(p->least));
  json_dumpf(line, stdout, JSON_REAL_PRECISION(5));
  printf("\n");
  json_decref(line);
}

/* Of all parameters and running statistics. */
static enum status digest_of(const struct step *s, uint64_t *digest) {
  const struct graph_tensor *t;
  *digest = 0;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++) {
    int64_t count = shape_count(t[i].shape);
    float *x = malloc((size_t)count * sizeof *x);
    enum status st = x ? graph_read_f32(s->graph, t[i].value, x, count) : fail(E_MEMORY, "out of memory");
    if (st == OK) *digest = XXH3_64bits_withSeed(x, (size_t)count * sizeof *x, *digest);
    free(x);
    if (st != OK) return st;
  }
  return OK;
}

static enum status time_steps(const struct options *o, struct trial *t, double *seconds) {
  enum status st = OK;
  for (int64_t i = -o->warmup; i < o->steps; i++) {
    double start = clock_s();
    TRY(trial_step(t, o->optimiser.lr, NULL));
    if (i >= 0) seconds[i] = clock_s() - start;
  }
out:
  return st;
}

/* An observed step may wait for the device behind every op. */
static enum status profile_steps(const struct options *o, struct trial *t, struct profile *p) {
  enum status st = OK;
  graph_observe(t->step->graph, observe, p);
  for (int i = 0; i < PROFILED; i++) {
    struct trial_times times;
    p->each = o->profile && i == PROFILED - 1;
    TRY(trial_step(t, o->optimiser.lr, &times));
    add_time(p->sums, "update", (int64_t)(times.update_s * 1e9));
  }
out:
  graph_observe(t->step->graph, NULL, NULL);
  return st;
}

static enum status measure_roofline(const struct options *o, struct roofline *out) {
  return roofline_measure(out, &(struct graph_config){.device = o->device.device,
                                                      .threads = (int)o->device.threads,
                                                      .precision = device_precision(&o->device)});
}

static enum status measure(const struct options *o, struct trial *t) {
  struct profile p = {.graph = t->step->graph, .sums = json_object(), .least = json_object()};
  double *seconds = calloc((size_t)o->steps, sizeof *seconds);
  uint64_t digest;
  enum status st = OK;
  if (!seconds) TRY(fail(E_MEMORY, "out of memory"));
  TRY(time_steps(o, t, seconds));
  if (o->roofline) TRY(measure_roofline(o, &p.roofline));
  TRY(profile_steps(o, t, &p));
  TRY(digest_of(t->step, &digest));
  print_result(o, t->step, seconds, &p, digest);
out:
  json_decref(p.least);
  json_decref(p.sums);
  free(seconds);
  return st;
}

static enum status run(void *state) {
  struct options *o = state;
  struct trial t = {0};
  enum status st = OK;
  if (o->steps < 1 || o->warmup < 0) return fail(E_ARG, "--steps must be at least 1, --warmup at least 0");
  TRY(device_options_resolve(&o->device));
  TRY(model_resolve(&o->model, NULL));
  const int64_t third = (o->size + 1) / 2;
  TRY(trial_open(&t,
                 &(struct step_config){.model = &o->model,
                                       .method = &o->method,
                                       .batch = o->batch,
                                       .height = o->size,
                                       .width = o->size,
                                       .device = o->device.device,
                                       .threads = (int)o->device.threads,
                                       .third_height = third,
                                       .third_width = third,
                                       .precision = device_precision(&o->device),
                                       .plans = device_plans(&o->device)},
                 &o->optimiser));
  TRY(measure(o, &t));
out:
  trial_close(&t);
  return st;
}

static const struct command commands[] = {
    {NULL, "time training steps", sizeof(struct options), opts, NULL, run}, {0}};
static const struct program program = {"step", "Times training steps on random images.", commands};

int main(int argc, char **argv) { return cli_main(&program, argc, argv); }
