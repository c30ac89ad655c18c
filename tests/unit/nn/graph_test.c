/* The graph itself: errors that stick, names, planning, transfers, modes, starting values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/add/add.h"
#include "nn/batch_norm/batch_norm.h"
#include "nn/concat/concat.h"
#include "nn/conv2d/conv2d.h"
#include "nn/engine.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"
#include "nn/max_pool/max_pool.h"
#include "nn/relu/relu.h"
#include "nn/weighted_sum/weighted_sum.h"

#include <cmocka.h> /* after ours: it makes fail a macro */

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static const struct init one = {INIT_ONE, 0}, zero = {INIT_ZERO, 0}, uniform = {INIT_UNIFORM, 0.5};
static const struct value none = {0};

static struct graph *open_graph(const char *device, enum graph_mode mode) {
  struct graph *g = NULL;
  CHECK(graph_open(&g, &(struct graph_config){device, mode, 2}));
  return g;
}

static void assert_says(const char *part) {
  if (!strstr(fail_message(), part)) fail_msg("'%s' does not say '%s'", fail_message(), part);
}

static void devices_are_checked(void **state) {
  (void)state;
  struct graph *g = NULL;
  assert_int_equal(graph_open(&g, &(struct graph_config){"tpu", GRAPH_TRAIN, 1}), E_ARG);
  assert_says("unknown device 'tpu'");
  assert_says("cpu");
  assert_says("ref");
  assert_int_equal(graph_open(&g, &(struct graph_config){"cud", GRAPH_TRAIN, 1}), E_ARG);
  assert_says("unknown device 'cud'");
  if (!backend_find("cuda", 4)) {
    assert_int_equal(graph_open(&g, &(struct graph_config){"cuda:0", GRAPH_TRAIN, 1}), E_ARG);
    assert_says(
        "--device cuda:0: this build was made without CUDA; build it where nvcc of CUDA 13 is on the PATH");
  }
  assert_int_equal(graph_open(&g, &(struct graph_config){"cpu", GRAPH_TRAIN, -1}), E_ARG);
  assert_null(g);
  graph_close(&g);
}

/* Builds one wrong thing after another good one; the first message wins and comes out of graph_plan. */
static void building_errors_stick(void **state) {
  (void)state;
  static const char *const says[] = {
      "linear: needs",         "conv2d: needs",          "conv2d: stride 0",
      "padded image is small", "batch_norm: needs",      "cannot be cut into 3",
      "no variance",           "max_pool: kernel 3",     "add: the shapes differ",
      "concat: 0 parts",       "concat: needs matrices", "index 4 is outside",
      "hyper_bilinear: needs", "temperature must be",    "the name 'w' is taken",
      "empty shape [0,2]",     "weighted_sum: needs",    "info_nce: needs",
      "no value of this graph"};
  for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
    struct graph *g = open_graph("ref", GRAPH_TRAIN);
    struct value x = graph_input(g, "x", shape_2(4, 2)), w = graph_param(g, "w", shape_2(3, 2), uniform);
    struct value image = graph_input(g, "image", shape_4(4, 2, 5, 5));
    struct value filter = graph_param(g, "filter", shape_4(3, 2, 7, 7), uniform);
    struct value c = graph_param(g, "c", shape_1(2), one), y = linear(g, x, w, none);
    struct bn_params p = {c, c, c, c}, wrong = {w, c, c, c};
    switch (i) {
    case 0: linear(g, w, y, none); break;
    case 1: conv2d(g, x, filter, 1, 1); break;
    case 2: conv2d(g, image, filter, 0, 3); break;
    case 3: conv2d(g, image, filter, 1, 0); break;
    case 4: batch_norm(g, x, wrong, 1, false); break;
    case 5: batch_norm(g, x, p, 3, false); break;
    case 6: batch_norm(g, x, p, 4, false); break;
    case 7: max_pool(g, image, 3, 1, 2); break;
    case 8: add(g, x, y); break;
    case 9: concat(g, 0, &x, 0); break;
    case 10: concat(g, 0, (struct value[]){x, y}, 2); break;
    case 11: gather_rows(g, x, (int32_t[]){0, 4}, 2); break;
    case 12: hyper_bilinear(g, w, x, x); break;
    case 13: info_nce(g, x, x, 0); break;
    case 14: graph_buffer(g, "w", shape_2(3, 2), zero); break;
    case 15: graph_param(g, "v", shape_2(0, 2), zero); break;
    case 16: weighted_sum(g, (struct value[]){x, y}, (double[]){1, 1}, 2); break;
    case 17: info_nce(g, x, y, 1); break;
    default: relu(g, none);
    }
    linear(g, y, y, none); /* wrong again, but too late to matter */
    assert_int_not_equal(graph_plan(g, info_nce(g, y, y, 1)), OK);
    assert_says(says[i]);
    graph_close(&g);
  }
}

static void plans_are_checked(void **state) {
  (void)state;
  static const struct op unknown = {.name = "fft"};
  struct graph *g = open_graph("cpu", GRAPH_TRAIN);
  struct value w = graph_param(g, "w", shape_2(2, 2), one);
  float number = 0;
  assert_int_equal(graph_forward(g), E_ARG);
  assert_int_equal(graph_init(g, 1), E_ARG);
  assert_int_equal(graph_read_f32(g, w, &number, 4), E_ARG);
  assert_int_equal(graph_plan(g, w), E_SHAPE);
  assert_int_equal(graph_plan(g, none), E_ARG);
  struct value y = graph_node(g, &unknown, NULL, 0, &w, 1, shape_1(1));
  assert_int_equal(graph_plan(g, y), E_DEVICE);
  assert_says("no cpu kernel for fft");
  graph_close(&g);
}

static void transfers_are_checked(void **state) {
  (void)state;
  struct graph *g = open_graph("cpu", GRAPH_INFERENCE);
  struct value x = graph_input(g, "x", shape_2(2, 2)), y = relu(g, x);
  float data[4] = {-1, 2, -3, 4};
  graph_output(g, "y", y);
  CHECK(graph_plan(g, none));
  assert_int_equal(graph_write_f32(g, x, data, 3), E_SHAPE);
  assert_says("x is [2,2], not 3 numbers");
  assert_int_equal(graph_read_f32(g, (struct value){99}, data, 4), E_ARG);
  assert_int_equal(graph_read_f32(g, (struct value){-x.id}, data, 4), E_ARG);
  assert_int_equal(graph_write_pixels(g, x, (uint8_t[]){0}, NULL, NULL), E_SHAPE);
  assert_int_equal(graph_backward(g), E_ARG);
  assert_int_equal(graph_plan(g, none), E_ARG); /* only once */
  CHECK(graph_write_f32(g, x, data, 4));
  CHECK(graph_forward(g));
  CHECK(graph_read_f32(g, graph_find(g, "y"), data, 4));
  assert_true(data[0] == 0 && data[1] == 2 && data[2] == 0 && data[3] == 4);
  graph_close(&g);
}

static void names_are_shared_and_listed(void **state) {
  (void)state;
  struct graph *g = open_graph("ref", GRAPH_TRAIN);
  struct value w = graph_param(g, "w", shape_2(2, 2), one), again = graph_param(g, "w", shape_2(2, 2), zero);
  graph_buffer(g, "b", shape_1(3), one);
  struct value unused = graph_param(g, "unused", shape_1(2), one), x = graph_input(g, "x", shape_2(2, 2));
  struct value y = info_nce(g, linear(g, x, w, none), x, 1);
  assert_int_equal(w.id, again.id);
  graph_output(g, "loss", y);
  CHECK(graph_plan(g, y));
  const struct graph_tensor *t;
  assert_int_equal(graph_tensors(g, &t), 3);
  assert_string_equal(t[0].name, "w");
  assert_string_equal(t[1].name, "unused");
  assert_string_equal(t[2].name, "b");
  assert_true(t[0].trained && t[1].trained && !t[2].trained);
  assert_int_equal(graph_find(g, "loss").id, y.id);
  assert_int_equal(graph_find(g, "nothing").id, 0);
  assert_int_not_equal(graph_gradient(g, w).id, 0);
  assert_int_equal(graph_gradient(g, unused).id, 0);
  assert_int_equal(graph_gradient(g, x).id, 0);
  graph_close(&g);
}

/* Activations that are not needed any more give their memory to later ones. */
static void memory_is_reused(void **state) {
  (void)state;
  struct graph *g = open_graph("ref", GRAPH_INFERENCE);
  struct value x = graph_input(g, "x", shape_2(64, 64));
  for (int i = 0; i < 20; i++) x = relu(g, x);
  graph_output(g, "y", x);
  CHECK(graph_plan(g, none));
  assert_int_equal(graph_arena_bytes(g), 2 * 64 * 64 * sizeof(double));
  graph_close(&g);
}

/* Pixels arrive normalised, in whatever layout the first op wants. */
static void pixels_are_normalised(void **state) {
  (void)state;
  enum { N = 3, H = 5, W = 7, COUNT = N * H * W * 3 };
  static const char *const devices[] = {"ref", "cpu"};
  const double mean[3] = {0.43, 0.42, 0.39}, std[3] = {0.27, 0.26, 0.27};
  uint8_t pixels[COUNT];
  for (int i = 0; i < COUNT; i++) pixels[i] = (uint8_t)(i * 37 + i / 256);
  for (int d = 0; d < 10; d++) { /* alone, before a convolution, and in every layout */
    struct graph *g = open_graph(devices[d % 2], GRAPH_INFERENCE);
    struct value x = graph_input(g, "x", shape_4(N, 3, H, W));
    struct tensor *t = (struct tensor *)(uintptr_t)graph_tensor_of(g, x);
    if (d >= 4) tensor_lay_out(t, (struct layout){(int64_t[]){8, 16, 3}[(d - 4) / 2], NULL});
    if (d >= 2) conv2d(g, x, graph_param(g, "w", shape_4(16, 3, 3, 3), uniform), 1, 1);
    double got[COUNT];
    CHECK(graph_plan(g, none));
    CHECK(graph_write_pixels(g, x, pixels, mean, std));
    CHECK(graph_read_f64(g, x, got, COUNT));
    for (int i = 0; i < COUNT; i++) {
      int n = i / (3 * H * W), c = i / (H * W) % 3, p = i % (H * W);
      double want = (pixels[(n * H * W + p) * 3 + c] / 255.0 - mean[c]) / std[c];
      if (!(fabs(got[i] - want) <= 1e-6))
        fail_msg("%s: pixel %d is %g, not %g", devices[d % 2], i, got[i], want);
    }
    graph_close(&g);
  }
}

static bool differ(const float *a, const float *b, int count) {
  int different = 0;
  for (int i = 0; i < count; i++) different += a[i] != b[i];
  return different > count / 2;
}

/* A value depends on the seed, the name and its index; not on order, shape or backend. */
static void starting_values_depend_on_seed_and_name(void **state) {
  (void)state;
  enum { COUNT = 10001 };
  static float a[COUNT], b[COUNT];
  struct graph *g = open_graph("ref", GRAPH_INFERENCE), *h = open_graph("cpu", GRAPH_INFERENCE);
  const struct init normal = {INIT_NORMAL, 2};
  struct value first = graph_param(g, "a", shape_1(COUNT), normal),
               flat = graph_param(g, "u", shape_1(COUNT), uniform);
  struct value other = graph_param(h, "b", shape_1(COUNT), normal),
               same = graph_param(h, "a", shape_1(COUNT), normal);
  CHECK(graph_plan(g, none));
  CHECK(graph_plan(h, none));
  CHECK(graph_init(g, 7));
  CHECK(graph_init(h, 7));
  CHECK(graph_read_f32(g, first, a, COUNT));
  CHECK(graph_read_f32(h, same, b, COUNT));
  for (int i = 0; i < COUNT; i++) assert_true(a[i] == b[i]);
  CHECK(graph_read_f32(h, other, b, COUNT));
  assert_true(differ(a, b, COUNT));
  CHECK(graph_init(h, 8));
  CHECK(graph_read_f32(h, same, b, COUNT));
  assert_true(differ(a, b, COUNT));
  double sum = 0, square = 0, beyond = 0, low = 1, high = -1;
  for (int i = 0; i < COUNT; i++) {
    sum += a[i];
    square += a[i] * a[i];
    beyond += fabsf(a[i]) > 2;
  }
  assert_true(fabs(sum / COUNT) < 0.06 && fabs(sqrt(square / COUNT) - 2) < 0.05);
  assert_true(fabs(beyond / COUNT - 0.3173) < 0.015); /* outside one standard deviation */
  CHECK(graph_read_f32(g, flat, b, COUNT));
  for (int i = 0; i < COUNT; i++) {
    low = fmin(low, b[i]);
    high = fmax(high, b[i]);
  }
  assert_true(low >= -0.5 && low < -0.499 && high <= 0.5 && high > 0.499);
  graph_close(&g);
  graph_close(&h);
}

/* One channel [1, 2, 3, 6]: mean 3, biased variance 3.5, unbiased
 * 14/3; running mean 2 and variance 9 before. */
static void batch_norm_follows_the_mode(void **state) {
  (void)state;
  static const char *const devices[] = {"ref", "cpu"};
  const double x[4] = {1, 2, 3, 6};
  for (int i = 0; i < 6; i++) {
    enum graph_mode mode = (enum graph_mode[]){GRAPH_TRAIN, GRAPH_FORWARD, GRAPH_INFERENCE}[i / 2];
    struct graph *g = open_graph(devices[i % 2], mode);
    struct value in = graph_input(g, "x", shape_2(4, 1));
    struct bn_params p = {graph_param(g, "gamma", shape_1(1), one), graph_param(g, "beta", shape_1(1), zero),
                          graph_buffer(g, "mean", shape_1(1), zero), graph_buffer(g, "var", shape_1(1), one)};
    struct value y = batch_norm(g, in, p, 1, false);
    double got[4], mean, var;
    graph_output(g, "y", y);
    CHECK(graph_plan_vjp(g, y));
    CHECK(graph_init(g, 1));
    CHECK(graph_write_f64(g, in, x, 4));
    CHECK(graph_write_f64(g, p.mean, (double[]){2}, 1));
    CHECK(graph_write_f64(g, p.var, (double[]){9}, 1));
    graph_set_bn_momentum(g, 0.25);
    CHECK(graph_forward(g));
    CHECK(graph_read_f64(g, y, got, 4));
    CHECK(graph_read_f64(g, p.mean, &mean, 1));
    CHECK(graph_read_f64(g, p.var, &var, 1));
    bool running = mode == GRAPH_INFERENCE;
    assert_true(fabs(got[3] - (running ? 4 / sqrt(9 + 1e-5) : 3 / sqrt(3.5 + 1e-5))) < 1e-6);
    assert_true(fabs(mean - (running ? 2 : 0.75 * 2 + 0.25 * 3)) < 1e-6);
    assert_true(fabs(var - (running ? 9 : 0.75 * 9 + 0.25 * 14 / 3)) < 1e-6);
    graph_close(&g);
  }
}

/* oneDNN's would, and a whole channel of NaN end as zeros behind the next ReLU. */
static void nan_is_not_hidden_by_a_maximum(void **state) {
  (void)state;
  static const char *const devices[] = {"ref", "cpu"};
  for (int i = 0; i < 4; i++) { /* with and without what the way back needs */
    struct graph *g = open_graph(devices[i % 2], i < 2 ? GRAPH_FORWARD : GRAPH_TRAIN);
    struct value x = graph_param(g, "x", shape_4(1, 2, 4, 4), zero), y = max_pool(g, x, 3, 2, 1);
    double data[32], out[8];
    graph_output(g, "y", y);
    CHECK(graph_plan_vjp(g, y));
    for (int k = 0; k < 32; k++) data[k] = k < 16 ? NAN : -k;
    CHECK(graph_write_f64(g, x, data, 32));
    CHECK(graph_forward(g));
    CHECK(graph_read_f64(g, y, out, 8));
    for (int k = 0; k < 8; k++) assert_true(k < 4 ? isnan(out[k]) : out[k] < 0 && out[k] > -32);
    graph_close(&g);
  }
}

/* NaN must reach the loss, not vanish in a ReLU. */
static void nan_is_not_hidden(void **state) {
  (void)state;
  static const char *const devices[] = {"ref", "cpu"};
  for (int i = 0; i < 2; i++) {
    struct graph *g = open_graph(devices[i], GRAPH_FORWARD);
    struct value x = graph_input(g, "x", shape_2(20, 1)), c = graph_param(g, "c", shape_1(1), one);
    struct bn_params p = {c, c, graph_buffer(g, "mean", shape_1(1), zero),
                          graph_buffer(g, "var", shape_1(1), one)};
    struct value y = relu(g, x), z = batch_norm(g, x, p, 1, true);
    double data[20] = {1, NAN, 2};
    graph_output(g, "y", y);
    graph_output(g, "z", z);
    CHECK(graph_plan(g, none));
    CHECK(graph_init(g, 1));
    CHECK(graph_write_f64(g, x, data, 20));
    CHECK(graph_forward(g));
    CHECK(graph_read_f64(g, y, data, 20));
    assert_true(isnan(data[1]));
    CHECK(graph_read_f64(g, z, data, 20));
    assert_true(isnan(data[0]) && isnan(data[19]));
    graph_close(&g);
  }
}

/* More than the address space: one error, and everything made before it is released. */
static void missing_memory_is_an_error(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* their allocators abort instead */
#endif
  static const char *const devices[] = {"ref", "cpu"};
  for (int i = 0; i < 2; i++) {
    struct graph *g = open_graph(devices[i], GRAPH_INFERENCE);
    struct value y = relu(g, graph_input(g, "x", shape_2((int64_t)1 << 24, (int64_t)1 << 24)));
    graph_output(g, "y", y);
    assert_int_equal(graph_plan(g, none), E_MEMORY);
    assert_says("out of memory");
    graph_close(&g);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(devices_are_checked),
      cmocka_unit_test(building_errors_stick),
      cmocka_unit_test(plans_are_checked),
      cmocka_unit_test(transfers_are_checked),
      cmocka_unit_test(names_are_shared_and_listed),
      cmocka_unit_test(memory_is_reused),
      cmocka_unit_test(pixels_are_normalised),
      cmocka_unit_test(starting_values_depend_on_seed_and_name),
      cmocka_unit_test(batch_norm_follows_the_mode),
      cmocka_unit_test(nan_is_not_hidden),
      cmocka_unit_test(nan_is_not_hidden_by_a_maximum),
      cmocka_unit_test(missing_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
