/* A recorded step does what one that is called does: rates, momenta, inputs and averages that change from step to
 * step, losses in their order, one step late. */
#include <math.h>

#include "nn/add/add.h"
#include "nn/ema/ema.h"
#include "nn/engine.h"
#include "nn/optimiser.h"
#include "nn/relu/relu.h"
#include "nn/weighted_sum/weighted_sum.h"
#include "test.h"

#define OK_OR_FAIL(expr)                                                                                     \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

enum { STEPS = 7 };

struct training {
  struct graph *g;
  struct value x, a, target, sum, loss;
  struct updater *updater;
  struct ema *ema;
  int64_t step;
  bool short_step; /* leaves the average out */
};

static void open_training(struct training *t, const char *device) {
  *t = (struct training){0};
  OK_OR_FAIL(graph_open(&t->g, &(struct graph_config){.device = device, .mode = GRAPH_TRAIN}));
  const struct shape one = shape_1(1);
  const struct init uniform = {INIT_UNIFORM, 1};
  t->x = graph_input(t->g, "x", one);
  t->a = graph_param(t->g, "a", one, uniform);
  struct value b = graph_param(t->g, "b", one, uniform);
  t->target = graph_shadow(t->g, "target", t->a);
  t->sum = add(t->g, t->a, relu(t->g, b));
  graph_output(t->g, "sum", t->sum);
  t->loss = weighted_sum(t->g, (struct value[]){t->sum, t->x, t->target}, (double[]){2, 3, 1}, 3);
  graph_output(t->g, "loss", t->loss);
  OK_OR_FAIL(graph_plan(t->g, t->loss));
  OK_OR_FAIL(graph_init(t->g, 5));
  OK_OR_FAIL(graph_watch(t->g, (struct value[]){t->loss, t->sum}, 2));
  OK_OR_FAIL(
      updater_open(&t->updater, t->g, &(struct optimiser_config){.momentum = 0.9, .weight_decay = 0.1}));
  OK_OR_FAIL(ema_open(&t->ema, t->g));
}

static void close_training(struct training *t) {
  ema_close(&t->ema);
  updater_close(&t->updater);
  graph_close(&t->g);
}

static enum status body(void *context) {
  struct training *t = context;
  enum status st = OK;
  TRY(graph_forward(t->g));
  TRY(graph_backward(t->g));
  TRY(updater_step(t->updater, (double[]){0.1 / (double)(t->step + 1)}));
  if (!t->short_step) TRY(ema_step(t->ema, 1 - 0.5 / (double)(t->step + 1)));
out:
  return st;
}

static void step(struct training *t) {
  OK_OR_FAIL(graph_write_f64(t->g, t->x, (double[]){(double)t->step * 0.75}, 1));
  OK_OR_FAIL(graph_step(t->g, body, t));
  t->step++;
}

static double read_one(struct training *t, struct value v) {
  double x;
  OK_OR_FAIL(graph_read_f64(t->g, v, &x, 1));
  return x;
}

static void expect(const char *what, int64_t step, double got, double want) {
  if (!(fabs(got - want) <= 1e-5)) fail_msg("%s after step %d: %g, not %g", what, (int)step, got, want);
}

static void recorded_steps_are_the_steps_of_ref(void **state) {
  (void)state;
  struct training ours, ref;
  double want[STEPS][2], got[2];
  open_training(&ours, "cuda");
  open_training(&ref, "ref");
  assert_int_equal(graph_lag(ours.g), 1);
  assert_int_equal(graph_lag(ref.g), 0);
  for (int64_t i = 0; i < STEPS; i++) {
    step(&ours);
    step(&ref);
    OK_OR_FAIL(graph_watched(ref.g, want[i]));
    if (i == 0) continue; /* nobody waits for the first step */
    OK_OR_FAIL(graph_watched(ours.g, got));
    for (int k = 0; k < 2; k++) expect("a watched number", i - 1, got[k], want[i - 1][k]);
  }
  OK_OR_FAIL(graph_watched(ours.g, got));
  expect("the last loss", STEPS - 1, got[0], want[STEPS - 1][0]);
  assert_int_equal(graph_watched(ours.g, got), E_ARG);
  expect("a", STEPS, read_one(&ours, ours.a), read_one(&ref, ref.a));
  expect("its average", STEPS, read_one(&ours, ours.target), read_one(&ref, ref.target));
  close_training(&ours);
  close_training(&ref);
}

/* What is called between two steps, a forward pass with other numbers, leaves the recording alone. */
static void passes_between_recorded_steps_are_called(void **state) {
  (void)state;
  struct training ours, ref;
  double losses[2];
  open_training(&ours, "cuda");
  open_training(&ref, "ref");
  for (int64_t i = 0; i < STEPS; i++) {
    struct training *const both[] = {&ours, &ref};
    double after[2];
    for (int k = 0; k < 2; k++) {
      step(both[k]);
      OK_OR_FAIL(graph_watched(both[k]->g, losses));
      OK_OR_FAIL(graph_write_f64(both[k]->g, both[k]->x, (double[]){-1}, 1));
      OK_OR_FAIL(graph_forward(both[k]->g));
      after[k] = read_one(both[k], both[k]->loss);
    }
    expect("the loss", i, after[0], after[1]);
  }
  close_training(&ours);
  close_training(&ref);
}

static void a_step_unlike_the_recorded_one_is_an_error(void **state) {
  (void)state;
  struct training t;
  double losses[2];
  open_training(&t, "cuda");
  for (int i = 0; i < 3; i++) {
    step(&t);
    OK_OR_FAIL(graph_watched(t.g, losses));
  }
  t.short_step = true;
  assert_int_equal(graph_step(t.g, body, &t), E_DEVICE);
  assert_non_null(strstr(fail_message(), "the recorded one"));
  close_training(&t);
}

static enum status fails(void *context) {
  struct training *t = context;
  enum status st = graph_forward(t->g);
  return st == OK ? fail(E_ARG, "a body that fails") : st;
}

/* In whatever step it happens, the failure is the body's, and the graph can be closed. */
static void a_body_that_fails_ends_the_step(void **state) {
  (void)state;
  for (int before = 0; before < 4; before++) {
    struct training t;
    double losses[2];
    open_training(&t, "cuda");
    for (int i = 0; i < before; i++) {
      step(&t);
      OK_OR_FAIL(graph_watched(t.g, losses));
    }
    assert_int_equal(graph_step(t.g, fails, &t), E_ARG);
    assert_string_equal(fail_message(), "a body that fails");
    close_training(&t);
  }
}

/* A step that failed while it was recorded is not what later steps repeat. */
static void a_failed_recording_is_not_replayed(void **state) {
  (void)state;
  struct training ours, ref;
  double got[2], want[2];
  open_training(&ours, "cuda");
  open_training(&ref, "ref");
  struct training *const both[] = {&ours, &ref};
  for (int64_t i = 0; i < STEPS; i++) {
    for (int k = 0; k < 2; k++) {
      if (i == 1) assert_int_equal(graph_step(both[k]->g, fails, both[k]), E_ARG);
      step(both[k]);
    }
    OK_OR_FAIL(graph_watched(ours.g, got));
    OK_OR_FAIL(graph_watched(ref.g, want));
    for (int k = 0; k < 2; k++) expect("a watched number", i, got[k], want[k]);
  }
  expect("a", STEPS, read_one(&ours, ours.a), read_one(&ref, ref.a));
  close_training(&ours);
  close_training(&ref);
}

static enum status transfers(void *context) {
  struct training *t = context;
  enum status st = graph_write_f64(t->g, t->x, (double[]){1}, 1);
  return st == OK ? body(context) : st;
}

static enum status reads(void *context) {
  struct training *t = context;
  double x;
  enum status st = body(context);
  return st == OK ? graph_read_f64(t->g, t->loss, &x, 1) : st;
}

static enum status only_forward(void *context) { return graph_forward(context); }

/* From the first step on, which is not recorded yet. */
static void transfers_within_a_step_are_refused(void **state) {
  (void)state;
  struct training t;
  double losses[2];
  open_training(&t, "cuda");
  for (int i = 0; i < 4; i++) {
    assert_int_equal(graph_step(t.g, i % 2 ? transfers : reads, &t), E_ARG);
    assert_non_null(strstr(fail_message(), "a transfer within a step"));
  }
  step(&t);
  OK_OR_FAIL(graph_watched(t.g, losses));
  close_training(&t);
}

/* Of two bytes, in a matrix of one number. */
static void a_watched_number_in_bf16_is_widened(void **state) {
  (void)state;
  struct graph *g;
  double seen;
  OK_OR_FAIL(graph_open(
      &g, &(struct graph_config){.device = "cuda", .mode = GRAPH_TRAIN, .precision = PRECISION_BF16}));
  const struct init one = {INIT_ONE, 0};
  const struct value a = graph_param(g, "a", shape_2(1, 1), one), y = add(g, a, a);
  graph_output(g, "y", y);
  OK_OR_FAIL(graph_plan(g, y));
  OK_OR_FAIL(graph_write_f64(g, a, (double[]){-0.75}, 1));
  OK_OR_FAIL(graph_watch(g, &y, 1));
  assert_int_equal(graph_tensor_of(g, y)->layout.element, ELEMENT_BF16);
  OK_OR_FAIL(graph_step(g, only_forward, g));
  OK_OR_FAIL(graph_watched(g, &seen));
  expect("the number", 0, seen, -1.5);
  graph_close(&g);
}

static void only_numbers_can_be_watched(void **state) {
  (void)state;
  struct training t;
  double losses[2];
  open_training(&t, "cuda");
  assert_int_equal(graph_watch(t.g, (struct value[]){t.a}, 1), E_ARG);
  assert_int_equal(graph_watched(t.g, losses), E_ARG);
  step(&t);
  step(&t);
  assert_int_equal(graph_step(t.g, body, &t), E_ARG); /* two steps are waiting to be taken */
  close_training(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recorded_steps_are_the_steps_of_ref),
      cmocka_unit_test(passes_between_recorded_steps_are_called),
      cmocka_unit_test(a_step_unlike_the_recorded_one_is_an_error),
      cmocka_unit_test(a_body_that_fails_ends_the_step),
      cmocka_unit_test(a_failed_recording_is_not_replayed),
      cmocka_unit_test(only_numbers_can_be_watched),
      cmocka_unit_test(transfers_within_a_step_are_refused),
      cmocka_unit_test(a_watched_number_in_bf16_is_widened),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
