#include "trial.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"

enum { SEED = 1 };

/* An input that the method takes, from [-2, 2): the range of normalised pixels. */
static enum status fill(struct step *s, struct value v) {
  const int64_t count = v.id ? shape_count(graph_shape(s->graph, v)) : 0;
  if (!count) return OK;
  float *x = malloc((size_t)count * sizeof *x);
  if (!x) return fail(E_MEMORY, "out of memory");
  for (int64_t i = 0; i < count; i++) x[i] = 4 * rng_unit_f32(philox(SEED, (uint32_t)i, 0, 0, 0).word[0]) - 2;
  enum status st = graph_write_f32(s->graph, v, x, count);
  free(x);
  return st;
}

enum status trial_open(struct trial *t, const struct step_config *config,
                       const struct optimiser_options *optimiser) {
  enum status st = OK;
  *t = (struct trial){0};
  TRY(step_open(&t->step, config));
  TRY(graph_init(t->step->graph, SEED));
  TRY(step_optimiser(&t->updater, t->step, optimiser));
  TRY(fill(t->step, t->step->views));
  TRY(fill(t->step, t->step->third));
  TRY(fill(t->step, t->step->labels));
out:
  return st;
}

void trial_close(struct trial *t) {
  updater_close(&t->updater);
  step_close(&t->step);
}

/* Reading a number waits for all that the device was given before. */
static enum status settle(const struct step *s) {
  double total;
  return graph_read_f64(s->graph, s->total, &total, 1);
}

static enum status step_in_parts(struct trial *t, const struct pace *pace, struct trial_times *times) {
  enum status st = OK;
  struct losses losses;
  const double began = clock_s();
  TRY(step_forward(t->step, &losses));
  TRY(graph_backward(t->step->graph));
  TRY(settle(t->step));
  const double computed = clock_s();
  TRY(step_move(t->step, t->updater, pace));
  TRY(settle(t->step));
  *times = (struct trial_times){computed - began, clock_s() - computed};
out:
  return st;
}

enum status trial_step(struct trial *t, double lr, struct trial_times *times) {
  struct losses losses;
  const struct pace pace = {lr, lr, 0, 1};
  if (times) return step_in_parts(t, &pace, times);
  enum status st = step_run(t->step, t->updater, &pace);
  return st == OK ? step_losses(t->step, &losses) : st;
}

struct trial_work trial_work(const struct trial *t, const struct roofline *r) {
  size_t n_states = 0;
  while (updater_state_name(t->updater, n_states)) n_states++;
  struct trial_work w = {.update_bytes = step_update_bytes(t->step, n_states)};
  for (size_t i = 0, n = graph_n_nodes(t->step->graph); i < n; i++) {
    const struct node_cost c = graph_node_cost(t->step->graph, i);
    w.flops.forward += c.flops.forward;
    w.flops.backward += c.flops.backward;
    w.forward_bytes += c.forward_bytes;
    w.backward_bytes += c.backward_bytes;
    w.least.forward_backward_s += roofline_seconds(r, c.flops.forward, c.forward_bytes) +
                                  roofline_seconds(r, c.flops.backward, c.backward_bytes);
  }
  w.least.update_s = roofline_seconds(r, 0, w.update_bytes);
  return w;
}
