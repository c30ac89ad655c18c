/* Training steps of a small network, from bytes to weights, recorded on cuda and called on ref: every kind of kernel
 * in one graph, with rates and BatchNorm's momentum that change from step to step. */
#include <math.h>

#include "nn/avg_pool_global/avg_pool_global.h"
#include "nn/batch_norm/batch_norm.h"
#include "nn/conv2d/conv2d.h"
#include "nn/engine.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"
#include "nn/max_pool/max_pool.h"
#include "nn/optimiser.h"
#include "test.h"

#include "emulation.h"

#define OK_OR_FAIL(expr)                                                                                     \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

enum { IMAGES = 8, SIDE = 10, WIDTH = 8, STEPS = 4, BYTES = IMAGES * SIDE * SIDE * 3 };

struct training {
  struct graph *g;
  struct value x, loss;
  struct updater *updater;
  double rate;
};

static struct value weight(struct graph *g, const char *name, struct shape shape) {
  return graph_param(g, name, shape, (struct init){INIT_UNIFORM, 0.4});
}

static struct bn_params bn(struct graph *g, const char *name) {
  static const struct init zero = {INIT_ZERO, 0}, one = {INIT_ONE, 0};
  static const char *const parts[] = {"gamma", "beta", "mean", "var"};
  char full[4][32];
  for (int i = 0; i < 4; i++) snprintf(full[i], sizeof full[i], "%s.%s", name, parts[i]);
  const struct shape shape = shape_1(WIDTH);
  return (struct bn_params){graph_param(g, full[0], shape, one), graph_param(g, full[1], shape, zero),
                            graph_buffer(g, full[2], shape, zero), graph_buffer(g, full[3], shape, one)};
}

static struct value build(struct training *t) {
  struct graph *g = t->g;
  const int32_t first[] = {0, 1, 2, 3}, second[] = {4, 5, 6, 7};
  t->x = graph_input(g, "x", shape_4(IMAGES, 3, SIDE, SIDE));
  struct value y = conv2d(g, t->x, weight(g, "stem", shape_4(WIDTH, 3, 3, 3)), 1, 1);
  y = max_pool(g, batch_norm(g, y, bn(g, "bn1"), 2, true), 3, 2, 1);
  struct value z = conv2d(g, y, weight(g, "block", shape_4(WIDTH, WIDTH, 3, 3)), 1, 1);
  y = batch_norm_add_relu(g, z, bn(g, "bn2"), 2, y);
  y = linear(g, avg_pool_global(g, y), weight(g, "head", shape_2(6, WIDTH)), weight(g, "bias", shape_1(6)));
  return info_nce(g, gather_rows(g, y, first, 4), gather_rows(g, y, second, 4), 0.5);
}

static void open_training(struct training *t, const char *device, enum precision precision,
                          enum plans plans) {
  *t = (struct training){0};
  OK_OR_FAIL(graph_open(
      &t->g,
      &(struct graph_config){.device = device, .mode = GRAPH_TRAIN, .precision = precision, .plans = plans}));
  t->loss = build(t);
  graph_output(t->g, "loss", t->loss);
  OK_OR_FAIL(graph_plan(t->g, t->loss));
  OK_OR_FAIL(graph_init(t->g, 7));
  OK_OR_FAIL(graph_watch(t->g, &t->loss, 1));
  OK_OR_FAIL(
      updater_open(&t->updater, t->g, &(struct optimiser_config){.momentum = 0.9, .weight_decay = 0.01}));
}

static enum status body(void *context) {
  struct training *t = context;
  enum status st = OK;
  TRY(graph_forward(t->g));
  TRY(graph_backward(t->g));
  TRY(updater_step(t->updater, &t->rate));
out:
  return st;
}

static double step(struct training *t, int i) {
  static const double mean[3] = {0.5, 0.4, 0.3}, std[3] = {0.2, 0.25, 0.3};
  uint8_t pixels[BYTES];
  double loss;
  for (int k = 0; k < BYTES; k++) pixels[k] = (uint8_t)(k * k * 31 + k * 17 + i * 101);
  t->rate = 0.05 / (i + 1);
  graph_set_bn_momentum(t->g, 0.1 * (i + 1));
  OK_OR_FAIL(graph_write_pixels(t->g, t->x, pixels, mean, std));
  OK_OR_FAIL(graph_step(t->g, body, t));
  OK_OR_FAIL(graph_watched(t->g, &loss));
  return loss;
}

/* ||a - b|| / ||b|| of a parameter or buffer. */
static double distance(struct training *a, struct training *b, const struct graph_tensor *tensor) {
  int64_t n = shape_count(tensor->shape);
  double *x = calloc((size_t)n, sizeof *x), *y = calloc((size_t)n, sizeof *y), difference = 0, norm = 0;
  assert_true(x && y);
  OK_OR_FAIL(graph_read_f64(a->g, graph_find(a->g, tensor->name), x, n));
  OK_OR_FAIL(graph_read_f64(b->g, tensor->value, y, n));
  for (int64_t i = 0; i < n; i++) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    norm += y[i] * y[i];
  }
  free(x);
  free(y);
  return sqrt(difference / (norm + 1e-4));
}

static void train_beside_ref(enum precision precision, enum plans plans, double tolerance) {
  struct training ours, ref;
  const struct graph_tensor *tensors;
  open_training(&ours, "cuda", precision, plans);
  open_training(&ref, "ref", PRECISION_F32, PLANS_SUGGESTED);
  for (int i = 0; i < STEPS; i++) {
    double got = step(&ours, i), want = step(&ref, i);
    if (!(fabs(got - want) <= tolerance * fabs(want))) fail_msg("loss of step %d: %g, not %g", i, got, want);
  }
  size_t n = graph_tensors(ref.g, &tensors);
  for (size_t i = 0; i < n; i++) {
    double d = distance(&ours, &ref, &tensors[i]);
    if (!(d <= tolerance)) fail_msg("%s differs by %g after %d steps", tensors[i].name, d, STEPS);
  }
  updater_close(&ours.updater);
  updater_close(&ref.updater);
  graph_close(&ours.g);
  graph_close(&ref.g);
}

static void training_in_float32_is_refs(void **state) {
  (void)state;
  train_beside_ref(PRECISION_F32, PLANS_SUGGESTED, 1e-3);
}

static void training_in_bf16_stays_near(void **state) {
  (void)state;
  train_beside_ref(PRECISION_BF16, PLANS_SUGGESTED, 5e-2);
}

/* Plans are measured on the memory of the steps to come: nothing of that is seen in them. */
static void plans_that_were_measured_train_alike(void **state) {
  (void)state;
  train_beside_ref(PRECISION_F32, PLANS_MEASURED, 1e-3);
  train_beside_ref(PRECISION_BF16, PLANS_MEASURED, 5e-2);
}

/* Nobody waits for the step; the emulation says what was let go of too early. */
static void a_graph_can_be_closed_while_it_computes(void **state) {
  (void)state;
  struct training t;
  uint8_t pixels[BYTES] = {0};
  open_training(&t, "cuda", PRECISION_F32, PLANS_SUGGESTED);
  updater_close(&t.updater);
  OK_OR_FAIL(graph_write_pixels(t.g, t.x, pixels, (double[3]){0}, (double[3]){1, 1, 1}));
  OK_OR_FAIL(graph_forward(t.g));
  OK_OR_FAIL(graph_backward(t.g));
  graph_close(&t.g);
}

/* --- Memory --------------------------------------------------------------------------------------------- */

static const struct emulation_machine sound = {1, CUDART_VERSION, 90, (size_t)4 << 30, 0},
                                      bare = {0, 0, 0, 0, 0},
                                      h200 = {1, CUDART_VERSION, 90, (size_t)4 << 30, 132};

static int restore(void **state) {
  (void)state;
  emulation_set_machine(sound);
  return 0;
}

/* What the network would take on this machine. */
static struct graph_memory planned_on(struct emulation_machine machine, enum precision precision,
                                      bool described) {
  struct training t = {0};
  bool is_described;
  emulation_set_machine(machine);
  OK_OR_FAIL(graph_open(
      &t.g, &(struct graph_config){
                .device = "cuda", .mode = GRAPH_TRAIN, .plan_only = true, .precision = precision}));
  OK_OR_FAIL(graph_plan(t.g, build(&t)));
  assert_string_equal(graph_hardware(t.g, &is_described), described ? "NVIDIA H200" : "emulated GPU");
  assert_int_equal(is_described, described);
  const struct emulation_memory taken = emulation_memory();
  assert_int_equal(taken.device + taken.pinned, 0);
  const struct graph_memory m = graph_memory(t.g);
  graph_close(&t.g);
  return m;
}

/* Planned without a GPU, planned with one, and allocated by a run: the same bytes. */
static void check_memory(enum precision precision) {
  const struct graph_memory plan = planned_on(bare, precision, true);
  const struct graph_memory there = planned_on(h200, precision, false);
  assert_memory_equal(&plan, &there, sizeof plan);
  struct training t;
  open_training(&t, "cuda", precision, PLANS_SUGGESTED);
  for (int i = 0; i < STEPS; i++) step(&t, i);
  const struct emulation_memory taken = emulation_memory();
  const size_t momentum = plan.gradients;
  assert_int_equal(taken.device, plan.parameters + plan.gradients + momentum + plan.buffers + plan.inputs +
                                     plan.arena + plan.own.device);
  assert_int_equal(taken.pinned, plan.own.pinned);
  updater_close(&t.updater);
  graph_close(&t.g);
  assert_int_equal(emulation_memory().device + emulation_memory().pinned, 0);
}

static void memory_is_what_was_planned(void **state) {
  (void)state;
  for (int precision = PRECISION_F32; precision <= PRECISION_BF16; precision++)
    check_memory((enum precision)precision);
}

/* Everything that would touch it. */
static void a_plan_has_no_memory_to_use(void **state) {
  (void)state;
  struct training t = {0};
  const double mean[3] = {0}, std[3] = {1, 1, 1};
  uint8_t pixels[BYTES] = {0};
  float number = 0;
  emulation_set_machine(bare);
  OK_OR_FAIL(graph_open(
      &t.g, &(struct graph_config){.device = "cuda:a100", .mode = GRAPH_TRAIN, .plan_only = true}));
  t.loss = build(&t);
  graph_output(t.g, "loss", t.loss);
  OK_OR_FAIL(graph_plan(t.g, t.loss));
  assert_int_equal(graph_init(t.g, 1), E_ARG);
  assert_int_equal(graph_write_pixels(t.g, t.x, pixels, mean, std), E_ARG);
  assert_int_equal(graph_read_f32(t.g, t.loss, &number, 1), E_ARG);
  assert_int_equal(graph_watch(t.g, &t.loss, 1), E_ARG);
  assert_int_equal(graph_forward(t.g), E_ARG);
  assert_int_equal(graph_backward(t.g), E_ARG);
  assert_int_equal(graph_step(t.g, body, &t), E_ARG);
  assert_int_equal(updater_open(&t.updater, t.g, &(struct optimiser_config){0}), E_ARG);
  assert_null(t.updater);
  graph_close(&t.g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(training_in_float32_is_refs),
                                     cmocka_unit_test(training_in_bf16_stays_near),
                                     cmocka_unit_test(plans_that_were_measured_train_alike),
                                     cmocka_unit_test(a_graph_can_be_closed_while_it_computes),
                                     cmocka_unit_test_teardown(memory_is_what_was_planned, restore),
                                     cmocka_unit_test_teardown(a_plan_has_no_memory_to_use, restore)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
