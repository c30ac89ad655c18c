/* Convolutions and products at the sizes of training: NVIDIA's libraries choose their algorithms by size, so small cases
 * see few of them. In f32 against `ref`, then against that; and against themselves: with `deterministic` a step gives the same bytes again. */
#include <xxhash.h>

#include "nn/conv2d/conv2d.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/linear/linear.h"

#include "parity/op_check.h"

/* arg: N C H=W O k stride pad */
static struct value build_conv(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_4(a[0], a[1], a[2], a[2])),
               w = op_input(g, "w", shape_4(a[3], a[1], a[4], a[4]));
  return conv2d(g, x, w, (int)a[5], (int)a[6]);
}

/* arg: N I O */
static struct value build_linear(struct graph *g, const int64_t *a) {
  return linear(g, op_input(g, "x", shape_2(a[0], a[1])), op_input(g, "w", shape_2(a[2], a[1])),
                op_input(g, "bias", shape_1(a[2])));
}

/* arg: B D K */
static struct value build_hyper(struct graph *g, const int64_t *a) {
  struct value w = op_input(g, "w", shape_2(a[1] * a[1], a[2]));
  return hyper_bilinear(g, w, op_input(g, "t", shape_2(a[0], a[2])), op_input(g, "r", shape_2(a[0], a[1])));
}

static const struct op_case cases[] = {
    {"224 px: stem", build_conv, {2, 3, 224, 64, 7, 2, 3}},
    {"224 px: 3x3, 64 channels", build_conv, {2, 64, 56, 64, 3, 1, 1}},
    {"224 px: 1x1, 256 to 64 channels", build_conv, {2, 256, 56, 64, 1, 1, 0}},
    {"224 px: 1x1, 64 to 256 channels", build_conv, {3, 64, 56, 256, 1, 1, 0}},
    {"224 px: shortcut", build_conv, {2, 256, 56, 512, 1, 2, 0}},
    {"224 px: strided 3x3", build_conv, {2, 128, 56, 128, 3, 2, 1}},
    {"224 px: last stage", build_conv, {3, 512, 7, 512, 3, 1, 1}},
    {"224 px: last expansion", build_conv, {5, 512, 7, 2048, 1, 1, 0}},
    {"32 px: stem", build_conv, {7, 3, 32, 64, 3, 1, 1}},
    {"32 px: 3x3, 64 channels", build_conv, {7, 64, 32, 64, 3, 1, 1}},
    {"32 px: shortcut", build_conv, {7, 64, 32, 128, 1, 2, 0}},
    {"32 px: last stage", build_conv, {7, 512, 4, 512, 3, 1, 1}},
    {"projector", build_linear, {96, 512, 2048}},
    {"phi", build_hyper, {6, 512, 128}},
};

static const struct op_target on_f32 = {"cuda", 1e-4, PRECISION_F32};

static void match(const struct op_target *on, const struct op_target *reference) {
  if (!op_opens(on)) skip();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    op_check_against(&cases[i], on, reference, GRAPH_TRAIN, OP_FREE);
}

static void f32_matches_ref(void **state) {
  (void)state;
  match(&on_f32, &op_ref);
}

/* ref takes half a minute for these sizes: once is enough. */
static void tf32_matches_f32(void **state) {
  (void)state;
  match(&(struct op_target){"cuda", 1e-3, PRECISION_TF32}, &on_f32);
}
static void bf16_matches_f32(void **state) {
  (void)state;
  match(&(struct op_target){"cuda", 2e-2, PRECISION_BF16}, &on_f32);
}

/* A digest of all that a step leaves. */
static uint64_t step(struct graph *g, struct value y) {
  const struct graph_tensor *tensors;
  const size_t n = graph_tensors(g, &tensors);
  uint64_t digest = 0;
  OP_OK(graph_forward(g));
  OP_OK(graph_backward(g));
  for (size_t i = 0; i <= n; i++) {
    struct value v = i < n ? graph_gradient(g, tensors[i].value) : y;
    double *part = op_read(g, v);
    digest = XXH3_64bits_withSeed(part, (size_t)shape_count(graph_shape(g, v)) * sizeof *part, digest);
    free(part);
  }
  return digest;
}

static void check_repeats(const struct op_case *c, enum precision precision) {
  struct graph *g = NULL;
  OP_OK(graph_open(
      &g, &(struct graph_config){
              .device = "cuda", .mode = GRAPH_TRAIN, .precision = precision, .plans = PLANS_DETERMINISTIC}));
  struct value y = c->build(g, c->arg);
  graph_output(g, "y", y);
  if (graph_plan_vjp(g, y) != OK) fail_msg("%s: %s", c->name, fail_message());
  OP_OK(graph_init(g, 11));
  free(op_cotangent(g, y, precision));
  const uint64_t first = step(g, y);
  for (int i = 0; i < 3; i++) {
    if (step(g, y) != first) fail_msg("%s in %d: other bytes than the step before", c->name, (int)precision);
  }
  graph_close(&g);
}

static void deterministic_steps_repeat_their_bytes(void **state) {
  (void)state;
  if (!op_opens(&(struct op_target){"cuda", 0, PRECISION_F32})) skip();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int precision = PRECISION_F32; precision <= PRECISION_BF16; precision++)
      check_repeats(&cases[i], (enum precision)precision);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f32_matches_ref),
      cmocka_unit_test(tf32_matches_f32),
      cmocka_unit_test(bf16_matches_f32),
      cmocka_unit_test(deterministic_steps_repeat_their_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
