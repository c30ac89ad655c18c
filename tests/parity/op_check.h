/* Checks one op on small random inputs: gradients on `ref` against central finite differences, and the other
 * backends against `ref`: outputs, every gradient, changed buffers, in training and in inference mode. */
#ifndef PARITY_OP_CHECK_H
#define PARITY_OP_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/rng.h"
#include "nn/cuda/bf16.h"
#include "nn/engine.h"

#include <cmocka.h> /* after ours: it makes fail a macro */

struct op_case {
  const char *name;
  struct value (*build)(struct graph *g, const int64_t *arg); /* inputs are parameters made with op_input */
  int64_t arg[12];
  bool
      chained; /* ReLUs and maxima choose by what other ops computed: rounded results choose otherwise here and there, so at
                   lower precision gradients are not compared */
  int products; /* matrix products one behind the other: in tf32 each adds what it rounds off; 0: 1 */
};

static inline struct value op_input(struct graph *g, const char *name, struct shape shape) {
  return graph_param(g, name, shape, (struct init){INIT_UNIFORM, 1});
}

#define OP_OK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

/* How the images called "x" shall lie in memory, whatever the ops would like. */
enum op_layout { OP_FREE, OP_BY_8, OP_BY_16, OP_NHWC, OP_LAYOUTS };

static inline void op_lay_out(struct graph *g, enum op_layout layout) {
  struct tensor *x = (struct tensor *)(uintptr_t)graph_tensor_of(g, graph_find(g, "x"));
  if (layout == OP_FREE || !x || x->shape.n_dims != 4) return;
  tensor_lay_out(x, (struct layout){layout == OP_NHWC ? x->shape.dim[1] : layout == OP_BY_8 ? 8 : 16, NULL});
}

/* A backend, and how far it may be from `ref`. */
struct op_target {
  const char *device;
  double tolerance;
  enum precision precision;
};
static const struct op_target op_ref = {"ref", 0, PRECISION_F32};

static inline struct graph *op_built(const struct op_case *c, const struct op_target *on,
                                     enum graph_mode mode, struct value *y) {
  struct graph *g = NULL;
  OP_OK(graph_open(&g, &(struct graph_config){
                           .device = on->device, .mode = mode, .threads = 2, .precision = on->precision}));
  *y = c->build(g, c->arg);
  graph_output(g, "y", *y);
  return g;
}

/* A built, planned, initialised graph and its root. */
static inline struct graph *op_graph(const struct op_case *c, const struct op_target *on,
                                     enum graph_mode mode, enum op_layout layout, struct value *y) {
  struct graph *g = op_built(c, on, mode, y);
  op_lay_out(g, layout);
  if (graph_plan_vjp(g, *y) != OK) fail_msg("%s on %s: %s", c->name, on->device, fail_message());
  OP_OK(graph_init(g, 11));
  return g;
}

static inline double *op_read(struct graph *g, struct value v) {
  int64_t n = shape_count(graph_shape(g, v));
  double *data = calloc((size_t)n, sizeof *data);
  assert_non_null(data);
  OP_OK(graph_read_f64(g, v, data, n));
  return data;
}

/* x as factors of products hold it, to nearest. */
static inline double op_held(double x, enum precision precision) {
  float held = (float)x;
  uint32_t bits;
  if (precision == PRECISION_BF16) return (double)bf16_widen(bf16_round(held));
  if (precision == PRECISION_F32) return (double)held;
  memcpy(&bits, &held, sizeof bits);
  bits = (bits + 0x1000) & ~UINT32_C(0x1fff); /* 10 bits of mantissa */
  memcpy(&held, &bits, sizeof held);
  return (double)held;
}

/* A fixed pseudo-random cotangent, such that every backend gets the same. */
static inline double *op_cotangent(struct graph *g, struct value y, enum precision precision) {
  int64_t n = shape_count(graph_shape(g, y));
  double *c = calloc((size_t)n, sizeof *c);
  assert_non_null(c);
  for (int64_t i = 0; i < n; i++)
    c[i] = op_held(2 * rng_unit_f32(philox(5, (uint32_t)i, 0, 0, 0).word[0]) - 1, precision);
  OP_OK(graph_write_f64(g, graph_gradient(g, y), c, n));
  return c;
}

static inline double op_dot(struct graph *g, struct value y, const double *c) {
  OP_OK(graph_forward(g));
  double *out = op_read(g, y), sum = 0;
  for (int64_t i = 0, n = shape_count(graph_shape(g, y)); i < n; i++) sum += c[i] * out[i];
  free(out);
  return sum;
}

/* ||a - b|| / ||b||, with a floor under ||b|| for gradients that are zero. */
static inline double op_distance(const double *a, const double *b, int64_t n) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < n; i++) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return sqrt(difference) / fmax(sqrt(norm), 1e-2);
}

/* The derivative of <cotangent, y> by element i of v, whose values are x. */
static inline double op_slope(struct graph *g, struct value y, const double *cotangent, struct value v,
                              double *x, int64_t i) {
  const double at = x[i], h = 1e-5;
  int64_t n = shape_count(graph_shape(g, v));
  double difference = 0;
  for (int side = 1; side >= -1; side -= 2) {
    x[i] = at + side * h;
    OP_OK(graph_write_f64(g, v, x, n));
    difference += side * op_dot(g, y, cotangent);
  }
  x[i] = at;
  OP_OK(graph_write_f64(g, v, x, n));
  return difference / (2 * h);
}

/* Compares at most some 60 elements of each gradient, evenly spread. */
static inline void op_check_gradients(const struct op_case *c) {
  struct value y;
  struct graph *g = op_graph(c, &op_ref, GRAPH_TRAIN, OP_FREE, &y);
  double *cotangent = op_cotangent(g, y, PRECISION_F32);
  OP_OK(graph_forward(g));
  OP_OK(graph_backward(g));
  const struct graph_tensor *tensors;
  size_t n_tensors = graph_tensors(g, &tensors);
  for (size_t k = 0; k < n_tensors && tensors[k].trained; k++) {
    struct value v = tensors[k].value;
    int64_t n = shape_count(tensors[k].shape), stride = n / 60 + 1, picked = 0;
    double *x = op_read(g, v), *grad = op_read(g, graph_gradient(g, v)), slope[60];
    for (int64_t i = 0; i < n; i += stride) {
      grad[picked] = grad[i];
      slope[picked++] = op_slope(g, y, cotangent, v, x, i);
    }
    double distance = op_distance(grad, slope, picked);
    if (!(distance <= 1e-6)) fail_msg("%s: gradient of %s off by %g", c->name, tensors[k].name, distance);
    free(x);
    free(grad);
  }
  free(cotangent);
  graph_close(&g);
}

static inline void op_compare(const struct op_case *c, const char *what, struct graph *g, struct value v,
                              struct graph *ref, struct value v_ref, double tolerance) {
  double *a = op_read(g, v), *b = op_read(ref, v_ref);
  double distance = op_distance(a, b, shape_count(graph_shape(ref, v_ref)));
  if (!(distance <= tolerance)) fail_msg("%s: %s differs from ref by %g", c->name, what, distance);
  free(a);
  free(b);
}

/* Gives both graphs what the first can hold: no choice (a maximum, a ReLU) turns on how an input rounds, nor does anything on
 * whether tensor cores round or cut off what tf32 has no bits for. */
static inline void op_round_inputs(struct graph *g, struct graph *ref, enum precision precision) {
  const struct graph_tensor *tensors;
  size_t n_tensors = graph_tensors(ref, &tensors);
  for (size_t k = 0; k < n_tensors; k++) {
    int64_t n = shape_count(tensors[k].shape);
    double *x = op_read(ref, tensors[k].value);
    for (int64_t i = 0; i < n; i++) x[i] = op_held(x[i], precision);
    OP_OK(graph_write_f64(ref, tensors[k].value, x, n));
    OP_OK(graph_write_f64(g, graph_find(g, tensors[k].name), x, n));
    free(x);
  }
}

/* Against another backend, or the same at another precision. */
static inline void op_check_against(const struct op_case *c, const struct op_target *on,
                                    const struct op_target *reference, enum graph_mode mode,
                                    enum op_layout layout) {
  const bool rounds = c->chained && on->precision != PRECISION_F32;
  const double tolerance =
      on->precision == PRECISION_TF32 && c->products > 1 ? c->products * on->tolerance : on->tolerance;
  struct value y, y_ref;
  struct graph *g = op_graph(c, on, mode, layout, &y), *ref = op_graph(c, reference, mode, OP_FREE, &y_ref);
  const struct graph_tensor *tensors;
  size_t n_tensors = graph_tensors(ref, &tensors);
  if (on->precision != PRECISION_F32) op_round_inputs(g, ref, on->precision);
  if (mode == GRAPH_TRAIN) {
    free(op_cotangent(g, y, on->precision));
    free(op_cotangent(ref, y_ref, on->precision));
  }
  for (int step = 0; step < 2; step++) { /* twice: nothing may be left over from the step before */
    OP_OK(graph_forward(g));
    OP_OK(graph_forward(ref));
    if (mode != GRAPH_TRAIN) continue;
    OP_OK(graph_backward(g));
    OP_OK(graph_backward(ref));
  }
  op_compare(c, "output", g, y, ref, y_ref, tolerance);
  for (size_t k = 0; k < n_tensors; k++) {
    struct value mine = graph_find(g, tensors[k].name), theirs = tensors[k].value;
    if (!tensors[k].trained) op_compare(c, tensors[k].name, g, mine, ref, theirs, tolerance);
    if (mode != GRAPH_TRAIN || !tensors[k].trained || rounds) continue;
    op_compare(c, tensors[k].name, g, graph_gradient(g, mine), ref, graph_gradient(ref, theirs), tolerance);
  }
  graph_close(&g);
  graph_close(&ref);
}

static inline void op_check_mode(const struct op_case *c, const struct op_target *on, enum graph_mode mode,
                                 enum op_layout layout) {
  op_check_against(c, on, &op_ref, mode, layout);
}

static inline void op_check_all(const struct op_case *cases, size_t count) {
  for (size_t i = 0; i < count; i++) op_check_gradients(&cases[i]);
}

static inline void op_check_case(const struct op_case *c, const struct op_target *on) {
  /* Where the backend leaves layouts open, in each of them. */
  int layouts = backend_find(on->device, strlen(on->device))->layout ? 1 : OP_LAYOUTS;
  for (int i = 0; i < layouts; i++) op_check_mode(c, on, GRAPH_TRAIN, (enum op_layout)i);
  op_check_mode(c, on, GRAPH_FORWARD, OP_FREE);
  op_check_mode(c, on, GRAPH_INFERENCE, OP_FREE);
}

static inline bool op_opens(const struct op_target *on) {
  bool opens = device_opens(&(struct graph_config){.device = on->device, .precision = on->precision});
  if (!opens) print_message("%s\n", fail_message());
  return opens;
}

/* Parity of all cases; without the device a counted skip. */
static inline void op_check_parity(const struct op_case *cases, size_t count, const struct op_target *on) {
  if (!op_opens(on)) skip();
  for (size_t i = 0; i < count; i++) op_check_case(&cases[i], on);
}

/* Tolerances: float32 with sums of a few thousand terms; products of 10 and of 7 bits of mantissa. */
#define OP_PARITY_TEST(name, ...)                                                                            \
  static void name(void **state) {                                                                           \
    (void)state;                                                                                             \
    op_check_parity(cases, sizeof cases / sizeof *cases, &(struct op_target){__VA_ARGS__});                  \
  }

/* main of an op's test: its `cases`, and tests of its own. */
#define OP_TEST_MAIN(...)                                                                                    \
  static void gradients_match_finite_differences(void **state) {                                             \
    (void)state;                                                                                             \
    op_check_all(cases, sizeof cases / sizeof *cases);                                                       \
  }                                                                                                          \
  OP_PARITY_TEST(cpu_matches_ref, "cpu", 1e-4, PRECISION_F32)                                                \
  OP_PARITY_TEST(cuda_matches_ref, "cuda", 1e-4, PRECISION_F32)                                              \
  OP_PARITY_TEST(cuda_tf32_matches_ref, "cuda", 1e-3, PRECISION_TF32)                                        \
  OP_PARITY_TEST(cuda_bf16_matches_ref, "cuda", 2e-2, PRECISION_BF16)                                        \
  int main(void) {                                                                                           \
    const struct CMUnitTest on_cpu[] = {cmocka_unit_test(gradients_match_finite_differences),                \
                                        cmocka_unit_test(cpu_matches_ref), __VA_ARGS__};                     \
    const struct CMUnitTest on_cuda[] = {cmocka_unit_test(cuda_matches_ref),                                 \
                                         cmocka_unit_test(cuda_tf32_matches_ref),                            \
                                         cmocka_unit_test(cuda_bf16_matches_ref)};                           \
    int failed = has_backend("cpu") ? cmocka_run_group_tests(on_cpu, NULL, NULL) : 0;                        \
    return failed + (has_backend("cuda") ? cmocka_run_group_tests(on_cuda, NULL, NULL) : 0);                 \
  }

#endif
