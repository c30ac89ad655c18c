/* The same bytes on every run with the same number of threads: a small residual network with every op of a
 * training step, stepped a few times. BatchNorm and phi give the same bytes with any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/avg_pool_global/avg_pool_global.h"
#include "nn/batch_norm/batch_norm.h"
#include "nn/concat/concat.h"
#include "nn/conv2d/conv2d.h"
#include "nn/engine.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"
#include "nn/max_pool/max_pool.h"
#include "nn/optimiser.h"

#include <cmocka.h> /* after ours: it makes fail a macro */

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

enum { N = 24, SIDE = 20, D = 48 };

static struct value weights(struct graph *g, const char *name, struct shape shape) {
  return graph_param(g, name, shape, (struct init){INIT_UNIFORM, 0.2});
}

static struct bn_params norm(struct graph *g, const char *names[4], int64_t channels) {
  return (struct bn_params){graph_param(g, names[0], shape_1(channels), (struct init){INIT_ONE, 0}),
                            graph_param(g, names[1], shape_1(channels), (struct init){INIT_ZERO, 0}),
                            graph_buffer(g, names[2], shape_1(channels), (struct init){INIT_ZERO, 0}),
                            graph_buffer(g, names[3], shape_1(channels), (struct init){INIT_ONE, 0})};
}

/* All parameters after three steps; the caller frees. */
static float *train(int threads, size_t *count) {
  struct graph *g = NULL;
  struct updater *o = NULL;
  CHECK(graph_open(&g, &(struct graph_config){"cpu", GRAPH_TRAIN, threads}));
  struct value x = graph_input(g, "x", shape_4(N, 3, SIDE, SIDE));
  struct bn_params stem = norm(g, (const char *[]){"g0", "b0", "m0", "v0"}, D);
  struct bn_params first = norm(g, (const char *[]){"g1", "b1", "m1", "v1"}, D);
  struct bn_params second = norm(g, (const char *[]){"g2", "b2", "m2", "v2"}, D);
  struct value y = conv2d(g, x, weights(g, "stem", shape_4(D, 3, 7, 7)), 2, 3);
  y = max_pool(g, batch_norm(g, y, stem, 2, true), 3, 2, 1);
  struct value z = batch_norm(g, conv2d(g, y, weights(g, "w1", shape_4(D, D, 3, 3)), 1, 1), first, 2, true);
  z = batch_norm_add_relu(g, conv2d(g, z, weights(g, "w2", shape_4(D, D, 3, 3)), 1, 1), second, 2, y);
  z = avg_pool_global(g, z);
  int32_t reversed[N];
  for (int i = 0; i < N; i++) reversed[i] = N - 1 - i;
  struct value other = gather_rows(g, z, reversed, N), pair = concat(g, 1, (struct value[]){z, other}, 2);
  struct value t = linear(g, pair, weights(g, "t", shape_2(8, 2 * D)), (struct value){0});
  struct value moved = hyper_bilinear(g, weights(g, "h", shape_2(D * D, 8)), t, z);
  struct value loss = info_nce(g, moved, other, 0.2);
  CHECK(graph_plan(g, loss));
  CHECK(graph_init(g, 3));
  CHECK(updater_open(&o, g, &(struct optimiser_config){0.9, 1e-4}));
  static uint8_t pixels[N * SIDE * SIDE * 3];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 2654435761U >> 13);
  CHECK(graph_write_pixels(g, x, pixels, (double[]){0.5, 0.5, 0.5}, (double[]){0.25, 0.25, 0.25}));
  for (int step = 0; step < 3; step++) {
    CHECK(graph_forward(g));
    CHECK(graph_backward(g));
    CHECK(updater_step(o, &(double){0.05}));
  }
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(g, &tensors), at = 0;
  for (size_t i = 0; i < n; i++) at += (size_t)shape_count(tensors[i].shape);
  float *all = calloc(*count = at, sizeof *all);
  assert_non_null(all);
  at = 0;
  for (size_t i = 0; i < n; i++) {
    CHECK(graph_read_f32(g, tensors[i].value, all + at, shape_count(tensors[i].shape)));
    at += (size_t)shape_count(tensors[i].shape);
  }
  updater_close(&o);
  graph_close(&g);
  return all;
}

static void training_repeats_to_the_byte(void **state) {
  (void)state;
  for (int threads = 1; threads <= 3; threads++) {
    size_t count;
    float *first = train(threads, &count);
    for (int again = 0; again < 4; again++) {
      float *second = train(threads, &count);
      assert_memory_equal(first, second, count * sizeof *first);
      free(second);
    }
    free(first);
  }
}

/* y and the gradients of a BatchNorm over [40, 20, 9, 9] in two groups. */
static void normalise(int threads, float *out, int64_t count) {
  struct graph *g = NULL;
  CHECK(graph_open(&g, &(struct graph_config){"cpu", GRAPH_TRAIN, threads}));
  struct value x = weights(g, "x", shape_4(40, 20, 9, 9));
  struct bn_params p = norm(g, (const char *[]){"g", "b", "m", "v"}, 20);
  struct value y = batch_norm(g, x, p, 2, true);
  graph_output(g, "y", y);
  CHECK(graph_plan_vjp(g, y));
  CHECK(graph_init(g, 5));
  CHECK(graph_forward(g));
  CHECK(graph_read_f32(g, y, out, count));
  CHECK(graph_write_f32(g, graph_gradient(g, y), out, count));
  CHECK(graph_backward(g));
  CHECK(graph_read_f32(g, graph_gradient(g, x), out + count, count));
  CHECK(graph_read_f32(g, graph_gradient(g, p.gamma), out + 2 * count, 20));
  graph_close(&g);
}

static void batch_norm_does_not_depend_on_threads(void **state) {
  (void)state;
  enum { COUNT = 40 * 20 * 81 };
  static float one[2 * COUNT + 20], many[2 * COUNT + 20];
  normalise(1, one, COUNT);
  for (int threads = 2; threads <= 5; threads++) {
    normalise(threads, many, COUNT);
    assert_memory_equal(one, many, sizeof one);
  }
}

enum {
  PHI_B = 37,
  PHI_D = 44,
  PHI_K = 19,
  PHI_OUT = PHI_B * PHI_D,
  PHI_T = PHI_B * PHI_K,
  PHI_W = PHI_D * PHI_D * PHI_K
};

/* phi and the gradients of all that it is made from. */
static void transform(int threads, float *out) {
  struct graph *g = NULL;
  CHECK(graph_open(&g, &(struct graph_config){"cpu", GRAPH_TRAIN, threads}));
  struct value w = weights(g, "w", shape_2(PHI_D * PHI_D, PHI_K)), t = weights(g, "t", shape_2(PHI_B, PHI_K)),
               r = weights(g, "r", shape_2(PHI_B, PHI_D));
  struct value y = hyper_bilinear(g, w, t, r);
  graph_output(g, "y", y);
  CHECK(graph_plan_vjp(g, y));
  CHECK(graph_init(g, 5));
  CHECK(graph_forward(g));
  CHECK(graph_read_f32(g, y, out, PHI_OUT));
  CHECK(graph_write_f32(g, graph_gradient(g, y), out, PHI_OUT));
  CHECK(graph_backward(g));
  CHECK(graph_read_f32(g, graph_gradient(g, w), out + PHI_OUT, PHI_W));
  CHECK(graph_read_f32(g, graph_gradient(g, t), out + PHI_OUT + PHI_W, PHI_T));
  CHECK(graph_read_f32(g, graph_gradient(g, r), out + PHI_OUT + PHI_W + PHI_T, PHI_OUT));
  graph_close(&g);
}

static void phi_does_not_depend_on_threads(void **state) {
  (void)state;
  static float one[2 * PHI_OUT + PHI_W + PHI_T], many[2 * PHI_OUT + PHI_W + PHI_T];
  transform(1, one);
  for (int threads = 2; threads <= 5; threads++) {
    transform(threads, many);
    assert_memory_equal(one, many, sizeof one);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(training_repeats_to_the_byte),
                                     cmocka_unit_test(batch_norm_does_not_depend_on_threads),
                                     cmocka_unit_test(phi_does_not_depend_on_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
