/* Learning rates of their own, exemption from decay, and target networks. */
#include <math.h>

#include "nn/conv2d/conv2d.h"
#include "nn/ema/ema.h"
#include "nn/engine.h"
#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"
#include "nn/sgd/sgd.h"
#include "test.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static const char *const devices[] = {"ref", "cpu"};
enum { N_DEVICES = 2 };

static const struct init uniform = {INIT_UNIFORM, 1};
static const struct value none;

static struct graph *open_graph(const char *device) {
  struct graph *g = NULL;
  CHECK(graph_open(&g, &(struct graph_config){device, GRAPH_TRAIN, 2}));
  return g;
}

static void read(struct graph *g, const char *name, double *data, int64_t n) {
  CHECK(graph_read_f64(g, graph_find(g, name), data, n));
}

static int rate_of(const char *name) { return strncmp(name, "head.", 5) == 0; }

/* body.weight and head.weight with gradients, body.bias between them. */
static struct graph *two_layers(const char *device) {
  struct graph *g = open_graph(device);
  struct value x = graph_input(g, "x", shape_2(3, 4));
  struct value y = linear(g, x, graph_param(g, "body.weight", shape_2(3, 4), uniform),
                          graph_param(g, "body.bias", shape_1(3), uniform));
  struct value z = linear(g, y, graph_param(g, "head.weight", shape_2(3, 3), uniform), none);
  CHECK(graph_plan(g, info_nce(g, y, z, 0.5)));
  CHECK(graph_init(g, 1));
  const double data[12] = {1, -2, 0.5, 3, 0.25, 1, -1, 2, 0, 1.5, 2, -0.5};
  CHECK(graph_write_f64(g, x, data, 12));
  CHECK(graph_forward(g));
  CHECK(graph_backward(g));
  return g;
}

static void expect_step(struct graph *g, const char *name, const double *before, int n, double rate,
                        double decay) {
  double now[16], gradient[16];
  read(g, name, now, n);
  CHECK(graph_read_f64(g, graph_gradient(g, graph_find(g, name)), gradient, n));
  for (int i = 0; i < n; i++)
    assert_true(fabs(now[i] - (before[i] - rate * (gradient[i] + decay * before[i]))) < 1e-6);
}

static void parameters_follow_their_own_rates_and_decay(void **state) {
  (void)state;
  for (int d = 0; d < N_DEVICES; d++) {
    struct graph *g = two_layers(devices[d]);
    struct sgd *o;
    double weight[12], bias[3], head[9];
    CHECK(sgd_open(&o, g, (struct sgd_config){0.9, 0.1, true, rate_of}));
    read(g, "body.weight", weight, 12);
    read(g, "body.bias", bias, 3);
    read(g, "head.weight", head, 9);
    CHECK(sgd_step(o, (const double[]){0.1, 0.3}));
    expect_step(g, "body.weight", weight, 12, 0.1, 0.1);
    expect_step(g, "body.bias", bias, 3, 0.1, 0);
    expect_step(g, "head.weight", head, 9, 0.3, 0.1);
    sgd_close(&o);
    graph_close(&g);
  }
}

/* A convolution of which the CPU orders the weights in its own way, with a target beside it. */
static struct graph *with_target(const char *device) {
  struct graph *g = open_graph(device);
  struct value x = graph_input(g, "x", shape_4(2, 16, 4, 4));
  struct value w = graph_param(g, "w", shape_4(32, 16, 3, 3), uniform);
  struct value y = conv2d(g, x, w, 1, 1), z = conv2d(g, x, graph_shadow(g, "target.w", w), 1, 1);
  struct value kernel = graph_param(g, "k", shape_4(1, 32, 4, 4), uniform);
  graph_output(g, "y", conv2d(g, y, kernel, 1, 0));
  graph_output(g, "z", conv2d(g, z, kernel, 1, 0));
  CHECK(graph_plan_vjp(g, graph_find(g, "y")));
  CHECK(graph_init(g, 4));
  double data[2 * 16 * 16];
  for (int i = 0; i < 2 * 16 * 16; i++) data[i] = cos(i);
  CHECK(graph_write_f64(g, x, data, 2 * 16 * 16));
  return g;
}

enum { W = 32 * 16 * 9 };

static void a_target_starts_as_its_parameter_and_follows_it_slowly(void **state) {
  (void)state;
  static double w[W], target[W], later[W];
  for (int d = 0; d < N_DEVICES; d++) {
    struct graph *g = with_target(devices[d]);
    struct ema *e;
    double y[2], z[2];
    read(g, "w", w, W);
    read(g, "target.w", target, W);
    assert_memory_equal(w, target, sizeof w);
    CHECK(graph_forward(g));
    read(g, "y", y, 2);
    read(g, "z", z, 2);
    assert_memory_equal(y, z, sizeof y);
    for (int i = 0; i < W; i++) w[i] += i % 7;
    CHECK(graph_write_f64(g, graph_find(g, "w"), w, W));
    CHECK(ema_open(&e, g));
    CHECK(ema_step(e, 0.75));
    read(g, "target.w", later, W);
    for (int i = 0; i < W; i++) assert_true(fabs(later[i] - (0.75 * target[i] + 0.25 * w[i])) < 1e-6);
    CHECK(ema_step(e, 0));
    read(g, "target.w", later, W);
    CHECK(graph_forward(g));
    read(g, "y", y, 2);
    read(g, "z", z, 2);
    assert_memory_equal(y, z, sizeof y);
    assert_int_equal(ema_step(e, 1.5), E_ARG);
    ema_close(&e);
    graph_close(&g);
  }
}

/* BatchNorm's statistics of a target move with its own batches alone. */
static void shadows_of_buffers_are_left_alone(void **state) {
  (void)state;
  struct graph *g = open_graph("ref");
  struct value x = graph_param(g, "x", shape_2(2, 3), uniform);
  struct value mean = graph_buffer(g, "mean", shape_2(2, 3), (struct init){INIT_ONE, 0});
  graph_shadow(g, "target.mean", mean);
  CHECK(graph_plan(g, info_nce(g, x, mean, 1)));
  CHECK(graph_init(g, 1));
  double data[6];
  struct ema *e;
  CHECK(graph_write_f64(g, mean, (const double[6]){5}, 6));
  CHECK(ema_open(&e, g));
  CHECK(ema_step(e, 0));
  read(g, "target.mean", data, 6);
  assert_true(data[0] == 1 && data[5] == 1);
  ema_close(&e);
  graph_close(&g);
}

static void a_shadow_needs_something_to_stand_for(void **state) {
  (void)state;
  struct graph *g = open_graph("ref");
  struct value x = graph_param(g, "x", shape_2(2, 3), uniform);
  graph_shadow(g, "target.nothing", none);
  assert_int_equal(graph_plan(g, info_nce(g, x, x, 1)), E_ARG);
  assert_non_null(strstr(fail_message(), "target.nothing"));
  graph_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(parameters_follow_their_own_rates_and_decay),
                                     cmocka_unit_test(a_target_starts_as_its_parameter_and_follows_it_slowly),
                                     cmocka_unit_test(shadows_of_buffers_are_left_alone),
                                     cmocka_unit_test(a_shadow_needs_something_to_stand_for)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
