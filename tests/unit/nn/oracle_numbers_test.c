/* Losses, gradients and updates with known values, on every backend. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/engine.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"
#include "nn/optimiser.h"

#include <cmocka.h> /* after ours: it makes fail a macro */

static const char *const devices[] = {"ref", "cpu"};
enum { N_DEVICES = sizeof devices / sizeof *devices };

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static void assert_close(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance)) fail_msg("%.9g is not %.9g", a, b);
}

static struct graph *open_graph(const char *device) {
  struct graph *g = NULL;
  CHECK(graph_open(&g, &(struct graph_config){device, GRAPH_TRAIN, 2}));
  return g;
}

static struct value param(struct graph *g, const char *name, struct shape shape) {
  return graph_param(g, name, shape, (struct init){INIT_ZERO, 0});
}

/* The loss of Z and Z' [n,d] at temperature 0.2; dz [n,d]: its gradient by Z, may be NULL. */
static double loss_of(const char *device, int64_t n, int64_t d, const double *z, const double *z2,
                      double *dz) {
  struct graph *g = open_graph(device);
  struct value a = param(g, "z1", shape_2(n, d)), b = param(g, "z2", shape_2(n, d));
  struct value loss = info_nce(g, a, b, 0.2);
  CHECK(graph_plan(g, loss));
  CHECK(graph_write_f64(g, a, z, n * d));
  CHECK(graph_write_f64(g, b, z2, n * d));
  CHECK(graph_forward(g));
  CHECK(graph_backward(g));
  double value;
  CHECK(graph_read_f64(g, loss, &value, 1));
  if (dz) CHECK(graph_read_f64(g, graph_gradient(g, a), dz, n * d));
  graph_close(&g);
  return value;
}

static void info_nce_has_known_values(void **state) {
  (void)state;
  const double eye[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  const double z[4] = {1, 0, 0, 1}, z2[4] = {1, 1, -1, 1}, scaled[4] = {3, 0, 0, 3}, eye2[4] = {1, 0, 0, 1};
  for (int i = 0; i < N_DEVICES; i++) {
    double dz[4];
    assert_close(loss_of(devices[i], 1, 2, z, z2, NULL), 0, 1e-7);
    assert_close(loss_of(devices[i], 2, 2, eye2, eye2, NULL), log(1 + 2 * exp(-5)), 1e-6);
    assert_close(loss_of(devices[i], 4, 4, eye, eye, NULL), 0.039632, 1e-6);
    assert_close(loss_of(devices[i], 4, 2, ones, ones, NULL), log(7), 1e-6);
    assert_close(loss_of(devices[i], 2, 2, z, z2, dz), 0.368583, 1e-6);
    assert_close(loss_of(devices[i], 2, 2, z2, z, NULL), 0.368583, 1e-6);
    assert_close(loss_of(devices[i], 2, 2, scaled, z2, NULL), 0.368583, 1e-6);
    const double want[4] = {0, -0.419248, 1.398537, 0};
    for (int k = 0; k < 4; k++) assert_close(dz[k], want[k], 2e-6);
  }
}

/* ln(1 + (2N-2) e^(-2/tau)) <= loss <= ln(1 + (2N-2) e^(2/tau)), ln(2N-1) after a collapse. */
static void info_nce_stays_within_its_bounds(void **state) {
  (void)state;
  enum { N = 256, D = 2 };
  double *same = calloc((size_t)N * D, sizeof *same), *turned = calloc((size_t)N * D, sizeof *turned);
  assert_non_null(same);
  assert_non_null(turned);
  for (int i = 0; i < N * D; i++) {
    same[i] = 0.5;
    turned[i] = -0.5;
  }
  for (int i = 0; i < N_DEVICES; i++) {
    assert_close(loss_of(devices[i], N, D, same, same, NULL), log(511), 1e-5);
    double bound = log(1 + 510 * exp(10)), worst = loss_of(devices[i], N, D, same, turned, NULL);
    assert_true(worst <= bound && worst >= log(1 + 510 * exp(-10)));
  }
  free(same);
  free(turned);
}

static void hyper_bilinear_has_known_values(void **state) {
  (void)state;
  for (int i = 0; i < N_DEVICES; i++) {
    struct graph *g = open_graph(devices[i]);
    struct value w = param(g, "w", shape_2(4, 1)), t = param(g, "t", shape_2(1, 1)),
                 r = param(g, "r", shape_2(1, 2));
    struct value y = hyper_bilinear(g, w, t, r);
    graph_output(g, "y", y);
    CHECK(graph_plan_vjp(g, y));
    CHECK(graph_write_f64(g, w, (double[]){1, 2, 3, 4}, 4));
    CHECK(graph_write_f64(g, t, (double[]){2}, 1));
    CHECK(graph_write_f64(g, r, (double[]){1, 1}, 2));
    CHECK(graph_write_f64(g, graph_gradient(g, y), (double[]){1, 1}, 2));
    CHECK(graph_forward(g));
    CHECK(graph_backward(g));
    double out[2], dt, dr[2], dw[4];
    CHECK(graph_read_f64(g, y, out, 2));
    CHECK(graph_read_f64(g, graph_gradient(g, t), &dt, 1));
    CHECK(graph_read_f64(g, graph_gradient(g, r), dr, 2));
    CHECK(graph_read_f64(g, graph_gradient(g, w), dw, 4));
    assert_close(out[0], 6, 0);
    assert_close(out[1], 14, 0);
    assert_close(dt, 10, 0);
    assert_close(dr[0], 8, 0);
    assert_close(dr[1], 12, 0);
    for (int k = 0; k < 4; k++) assert_close(dw[k], 2, 0);
    graph_close(&g);
  }
}

static void sgd_has_known_values(void **state) {
  (void)state;
  for (int i = 0; i < N_DEVICES; i++) {
    struct graph *g = open_graph(devices[i]);
    struct value theta = param(g, "theta", shape_2(1, 1)), x = graph_input(g, "x", shape_2(1, 1));
    struct value unused = param(g, "unused", shape_1(3)), y = linear(g, x, theta, (struct value){0});
    struct updater *o = NULL;
    double now;
    float v;
    CHECK(graph_plan(g, y));
    CHECK(updater_open(&o, g, &(struct optimiser_config){0.9, 0.01}));
    CHECK(graph_write_f64(g, theta, (double[]){1}, 1));
    CHECK(graph_write_f64(g, x, (double[]){0.5}, 1)); /* the gradient by theta */
    const double want[2] = {0.949, 0.852151};
    for (int step = 0; step < 2; step++) {
      CHECK(graph_forward(g));
      CHECK(graph_backward(g));
      CHECK(updater_step(o, &(double){0.1}));
      CHECK(graph_read_f64(g, theta, &now, 1));
      assert_close(now, want[step], 1e-7);
    }
    CHECK(updater_read_f32(o, 0, theta, &v, 1));
    assert_close(v, 0.9 * 0.51 + 0.5 + 0.01 * 0.949, 1e-6);
    CHECK(updater_write_f32(o, 0, theta, (float[]){0}, 1));
    CHECK(updater_read_f32(o, 0, theta, &v, 1));
    assert_close(v, 0, 0);
    assert_false(updater_holds(o, unused));
    assert_int_equal(updater_read_f32(o, 0, unused, &v, 1), E_ARG);
    assert_int_equal(updater_read_f32(o, 0, theta, &v, 2), E_SHAPE);
    updater_close(&o);
    graph_close(&g);
  }
}

/* More parameters than one task of an update takes, each with its own gradient: two steps by the formula. */
static void sgd_reaches_every_parameter(void **state) {
  (void)state;
  enum { COUNT = 150001 };
  const double lr = 0.125, momentum = 0.5, decay = 0.25; /* exact in float32, as are the values below */
  float *x = malloc(COUNT * sizeof *x), *got = malloc(COUNT * sizeof *got);
  assert_non_null(x);
  assert_non_null(got);
  for (int k = 0; k < COUNT; k++) x[k] = (float)(k % 64 - 32);
  for (int i = 0; i < N_DEVICES; i++) {
    struct graph *g = open_graph(devices[i]);
    struct value theta = param(g, "theta", shape_2(1, COUNT)), in = graph_input(g, "x", shape_2(1, COUNT));
    struct value y = linear(g, in, theta, (struct value){0});
    struct updater *o = NULL;
    CHECK(graph_plan(g, y));
    CHECK(updater_open(&o, g, &(struct optimiser_config){momentum, decay}));
    CHECK(graph_write_f32(g, in, x, COUNT));
    CHECK(graph_write_f32(g, theta, x, COUNT));
    for (int step = 0; step < 2; step++) {
      CHECK(graph_forward(g));
      CHECK(graph_backward(g));
      CHECK(updater_step(o, &lr));
    }
    CHECK(graph_read_f32(g, theta, got, COUNT));
    for (int k = 0; k < COUNT; k++) {
      double v = (1 + decay) * x[k], once = x[k] - lr * v;
      assert_close(got[k], once - lr * (momentum * v + x[k] + decay * once), 1e-5);
    }
    updater_close(&o);
    graph_close(&g);
  }
  free(x);
  free(got);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(info_nce_has_known_values), cmocka_unit_test(info_nce_stays_within_its_bounds),
      cmocka_unit_test(hyper_bilinear_has_known_values), cmocka_unit_test(sgd_has_known_values),
      cmocka_unit_test(sgd_reaches_every_parameter)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
