/* Every optimiser's numbers, learning rates of their own, exemption from decay, and target networks. */
#include <math.h>

#include "backends.h"
#include "nn/conv2d/conv2d.h"
#include "nn/ema/ema.h"
#include "nn/engine.h"
#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"
#include "nn/optimiser.h"
#include "test.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static const char *const devices[] = {"ref", "cpu", "cuda"};
enum { N_DEVICES = sizeof devices / sizeof *devices };

/* Of those, what the program has and the machine, too. */
static bool is_here(const char *device) {
  struct graph *g = NULL;
  bool here = has_backend(device) && graph_open(&g, &(struct graph_config){.device = device}) == OK;
  graph_close(&g);
  return here;
}

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
    if (!is_here(devices[d])) continue;
    struct graph *g = two_layers(devices[d]);
    struct updater *o;
    double weight[12], bias[3], head[9];
    CHECK(updater_open(&o, g, &(struct optimiser_config){0.9, 0.1, true, rate_of}));
    read(g, "body.weight", weight, 12);
    read(g, "body.bias", bias, 3);
    read(g, "head.weight", head, 9);
    CHECK(updater_step(o, (const double[]){0.1, 0.3}));
    expect_step(g, "body.weight", weight, 12, 0.1, 0.1);
    expect_step(g, "body.bias", bias, 3, 0.1, 0);
    expect_step(g, "head.weight", head, 9, 0.3, 0.1);
    updater_close(&o);
    graph_close(&g);
  }
}

/* Three steps with given gradients of a weight [2, 3] and a bias [2], against float64 numbers of PyTorch 2.15:
 *
 *   adam: torch.optim.Adam(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.02)
 *   lars: for the weight g += 0.02 w; g *= 0.001 w.norm() / g.norm(); for both mu = 0.9 mu + g; p -= 5 mu, the second
 *         time for the bias p -= 0.12 mu
 *   sgd:  torch.optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.02) */
static const double start_w[6] = {0.5, -1.25, 2.0, 0.75, -0.3, 1.5}, start_b[2] = {0.2, -0.4};
static const double gradients_w[3][6] = {
    {0.3, -0.2, 0.1, 0.05, 0.4, -0.6}, {-0.1, 0.25, 0.3, -0.5, 0.2, 0.15}, {0.6, 0.1, -0.4, 0.2, -0.3, 0.35}};
static const double gradients_b[3][2] = {{0.5, -0.25}, {0.1, 0.3}, {-0.2, 0.4}};

struct reference {
  const char *name;
  double lr, own[3], w[6], b[2], state[2][6];
};

static const struct reference references[] = {
    {"adam",
     0.1,
     {0.8, 0.95, 1e-3},
     {0.287928298515, -1.186774266190, 1.805826521461, 0.737608793560, -0.503809844373, 1.619649717054},
     {-0.004433113375, -0.376589826453},
     {{0.14640971391623, 0.02287081677421, -0.00077653117919, -0.02671500668840, 0.01918842307987,
       0.03270383420751},
      {0.02317572514958, 0.00502650359924, 0.01293243775657, 0.01375316222438, 0.01355563843324,
       0.02355824737634}}},
    {"lars",
     5,
     {0.001, 1},
     {0.478160188967, -1.249206457508, 1.985262273420, 0.762856406916, -0.322308830941, 1.514655065601},
     {-6.525, -1.8625},
     {{0.00259667375225, 0.00044596268753, 0.00052435434364, -0.00095488193738, 0.00089540463004,
       0.00026396833847}}},
    {"lars",
     5,
     {0.001, 0.024},
     {0.478160188967, -1.249206457508, 1.985262273420, 0.762856406916, -0.322308830941, 1.514655065601},
     {0.0386, -0.4351},
     {{0.00259667375225, 0.00044596268753, 0.00052435434364, -0.00095488193738, 0.00089540463004,
       0.00026396833847}}},
    {"sgd",
     0.1,
     {0},
     {0.372307476000, -1.239400910000, 1.933634344000, 0.802987374000, -0.412695917600, 1.581873028000},
     {0.063659638400, -0.424899576800},
     {{0.778545240000, 0.096059100000, 0.057936560000, -0.168243740000, 0.185147176000, 0.083129720000}}}};

/* Both parameters with gradients that are overwritten before each step. */
static struct graph *weight_and_bias(const char *device) {
  struct graph *g = open_graph(device);
  struct value x = graph_input(g, "x", shape_2(2, 3));
  struct value y =
      linear(g, x, graph_param(g, "w", shape_2(2, 3), uniform), graph_param(g, "b", shape_1(2), uniform));
  CHECK(graph_plan(g, info_nce(g, y, y, 0.5)));
  CHECK(graph_init(g, 1));
  CHECK(graph_write_f64(g, graph_find(g, "w"), start_w, 6));
  CHECK(graph_write_f64(g, graph_find(g, "b"), start_b, 2));
  CHECK(graph_write_f64(g, x, gradients_w[0], 6));
  CHECK(graph_forward(g));
  CHECK(graph_backward(g));
  return g;
}

static void expect_near(const double *got, const double *want, int n) {
  for (int i = 0; i < n; i++)
    if (!(fabs(got[i] - want[i]) < 2e-6)) fail_msg("%d: %.9g, not %.9g", i, got[i], want[i]);
}

static void three_steps_end_where_pytorchs_do(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof references / sizeof *references * N_DEVICES; i++) {
    const struct reference *r = &references[i / N_DEVICES];
    if (!is_here(devices[i % N_DEVICES])) continue;
    struct graph *g = weight_and_bias(devices[i % N_DEVICES]);
    struct value w = graph_find(g, "w"), b = graph_find(g, "b");
    struct optimiser_config config = {0.9, 0.02, .name = r->name};
    memcpy(config.own.bytes, r->own, sizeof r->own);
    struct updater *u;
    double now[6];
    CHECK(updater_open(&u, g, &config));
    for (int step = 0; step < 3; step++) {
      CHECK(graph_write_f64(g, graph_gradient(g, w), gradients_w[step], 6));
      CHECK(graph_write_f64(g, graph_gradient(g, b), gradients_b[step], 2));
      CHECK(updater_step(u, &r->lr));
    }
    read(g, "w", now, 6);
    expect_near(now, r->w, 6);
    read(g, "b", now, 2);
    expect_near(now, r->b, 2);
    for (size_t k = 0; updater_state_name(u, k); k++) {
      CHECK(updater_read_f64(u, k, w, now, 6));
      expect_near(now, r->state[k], 6);
    }
    updater_close(&u);
    graph_close(&g);
  }
}

/* A zero weight has no norm to be in proportion to: it follows the gradient itself. */
static void lars_moves_a_weight_of_zeros(void **state) {
  (void)state;
  for (int d = 0; d < N_DEVICES; d++) {
    if (!is_here(devices[d])) continue;
    struct graph *g = weight_and_bias(devices[d]);
    struct value w = graph_find(g, "w");
    struct optimiser_config config = {0.9, 0.02, .name = "lars"};
    const double trust = 0.001;
    memcpy(config.own.bytes, &trust, sizeof trust);
    struct updater *u;
    double now[6], want[6];
    CHECK(graph_write_f64(g, w, (const double[6]){0}, 6));
    CHECK(graph_write_f64(g, graph_gradient(g, w), gradients_w[0], 6));
    CHECK(updater_open(&u, g, &config));
    CHECK(updater_step(u, &(double){0.5}));
    read(g, "w", now, 6);
    for (int i = 0; i < 6; i++) want[i] = -0.5 * gradients_w[0][i];
    expect_near(now, want, 6);
    updater_close(&u);
    graph_close(&g);
  }
}

/* Enough numbers for every part of a sum of squares, and no whole number of vectors. */
static void lars_measures_all_of_a_large_weight(void **state) {
  (void)state;
  enum { ROWS = 301, COLUMNS = 899, N = ROWS * COLUMNS };
  static double start[N], gradient[N], now[N];
  double norm = 0, change = 0;
  for (int i = 0; i < N; i++) {
    start[i] = cos(i) * (1 + (double)i / N);
    gradient[i] = sin(i) * (2 - (double)i / N);
    norm += start[i] * start[i];
    change += (gradient[i] + 0.02 * start[i]) * (gradient[i] + 0.02 * start[i]);
  }
  for (int d = 0; d < N_DEVICES; d++) {
    if (!is_here(devices[d])) continue;
    struct graph *g = open_graph(devices[d]);
    struct value w = graph_param(g, "w", shape_2(ROWS, COLUMNS), uniform);
    struct value y = linear(g, graph_input(g, "x", shape_2(2, COLUMNS)), w, none);
    struct optimiser_config config = {0.9, 0.02, .name = "lars"};
    const double trust = 0.001;
    memcpy(config.own.bytes, &trust, sizeof trust);
    struct updater *u;
    CHECK(graph_plan(g, info_nce(g, y, y, 0.5)));
    CHECK(graph_init(g, 1));
    CHECK(graph_write_f64(g, w, start, N));
    CHECK(graph_write_f64(g, graph_gradient(g, w), gradient, N));
    CHECK(updater_open(&u, g, &config));
    CHECK(updater_step(u, &(double){100}));
    read(g, "w", now, N);
    for (int i = 0; i < N; i++) {
      double moved = 100 * trust * sqrt(norm / change) * (gradient[i] + 0.02 * start[i]);
      assert_true(fabs(start[i] - moved - now[i]) < 1e-6);
    }
    updater_close(&u);
    graph_close(&g);
  }
}

static void an_unknown_optimiser_is_refused(void **state) {
  (void)state;
  struct graph *g = weight_and_bias("ref");
  struct updater *u;
  assert_int_equal(updater_open(&u, g, &(struct optimiser_config){.name = "adamw"}), E_ARG);
  assert_non_null(strstr(fail_message(), "no 'adamw'; known: adam, lars, sgd"));
  graph_close(&g);
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
    if (!is_here(devices[d])) continue;
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
                                     cmocka_unit_test(three_steps_end_where_pytorchs_do),
                                     cmocka_unit_test(lars_moves_a_weight_of_zeros),
                                     cmocka_unit_test(lars_measures_all_of_a_large_weight),
                                     cmocka_unit_test(an_unknown_optimiser_is_refused),
                                     cmocka_unit_test(a_target_starts_as_its_parameter_and_follows_it_slowly),
                                     cmocka_unit_test(shadows_of_buffers_are_left_alone),
                                     cmocka_unit_test(a_shadow_needs_something_to_stand_for)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
