#include "nn/roofline.h"

#include "nn/add/add.h"
#include "nn/conv2d/conv2d.h"
#include "nn/cost.h"
#include "nn/engine.h"

enum {
  RUNS = 10,
  CHANNELS = 128,
  SIDE = 28,
  MOST_IMAGES = 1 << 12,
  COLUMNS = 1024,
  LEAST_ROWS = 1 << 14,
  MOST_ROWS = 1 << 18
};
static const double ENOUGH_S = 5e-3, /* of a run: starting it does not count any more */
    SLOW_S = 0.1;

/* A computation whose size is doubled until a run of it takes long enough. */
struct load {
  struct value (*build)(struct graph *g, int64_t size); /* one node */
  double (*amount)(const struct node_cost *c);
  int64_t least, most;
};

/* As most of a residual network. */
static struct value convolution(struct graph *g, int64_t images) {
  const struct value x = graph_input(g, "x", (struct shape){4, {images, CHANNELS, SIDE, SIDE}}),
                     w = graph_param(g, "w", (struct shape){4, {CHANNELS, CHANNELS, 3, 3}},
                                     (struct init){INIT_NORMAL, 1});
  return conv2d(g, x, w, 1, 1);
}

static double operations(const struct node_cost *c) { return c->flops.forward; }

static struct value sum(struct graph *g, int64_t rows) {
  const struct shape shape = {2, {rows, COLUMNS}};
  return add(g, graph_input(g, "a", shape), graph_input(g, "b", shape));
}

static double bytes(const struct node_cost *c) { return c->forward_bytes; }

/* Of the only node; an observed call is over when the device is done with it. */
static void take_time(void *seconds, const struct node *node, enum node_phase phase, int64_t nanoseconds) {
  (void)node, (void)phase;
  *(double *)seconds = (double)nanoseconds * 1e-9;
}

/* The load at one size: the best time of a run, and what it does in that time.
 */
static enum status time_size(double *best, double *amount, const struct load *load,
                             const struct graph_config *config, int64_t size) {
  struct graph *g = NULL;
  enum status st = OK;
  struct graph_config forward = *config;
  forward.mode = GRAPH_INFERENCE;
  forward.plan_only = false;
  TRY(graph_open(&g, &forward));
  graph_output(g, "y", load->build(g, size));
  TRY(graph_plan(g, (struct value){0}));
  TRY(graph_init(g, 1));
  const struct node_cost cost = graph_node_cost(g, 0);
  *amount = load->amount(&cost);
  double seconds = 0;
  graph_observe(g, take_time, &seconds);
  for (int i = 0; i < RUNS; i++) {
    TRY(graph_forward(g));
    if (i == 0 || seconds < *best) *best = seconds;
    if (seconds > SLOW_S) break; /* one run says enough */
  }
out:
  graph_close(&g);
  return st;
}

static enum status rate_of(double *rate, const struct load *load, const struct graph_config *config) {
  double seconds = 0, amount = 0;
  for (int64_t size = load->least; size <= load->most && seconds < ENOUGH_S; size *= 2) {
    enum status st = time_size(&seconds, &amount, load, config, size);
    if (st != OK) return st;
    *rate = amount / seconds;
  }
  return OK;
}

enum status roofline_measure(struct roofline *out, const struct graph_config *config) {
  static const struct load compute = {convolution, operations, 1, MOST_IMAGES},
                           move = {sum, bytes, LEAST_ROWS, MOST_ROWS};
  enum status st = rate_of(&out->flops, &compute, config);
  return st == OK ? rate_of(&out->bytes, &move, config) : st;
}

double roofline_seconds(const struct roofline *r, double flops, double bytes) {
  const double compute = flops / r->flops, move = bytes / r->bytes;
  return compute > move ? compute : move;
}
