/* What ops say they compute, against counts by hand and published ones; and plans without memory. */
#include "model/backbone.h"
#include "nn/conv2d/conv2d.h"
#include "nn/engine.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/linear/linear.h"
#include "test.h"

static const struct init uniform = {INIT_UNIFORM, 0.5};

static struct graph *open_graph(enum graph_mode mode) {
  struct graph *g;
  assert_int_equal(graph_open(&g, &(struct graph_config){"ref", mode, 1, .plan_only = true}), OK);
  return g;
}

/* Of all nodes that compute `op`; NULL: of all. */
static struct flops flops_of(const struct graph *g, const char *op) {
  struct flops sum = {0};
  for (size_t i = 0, n = graph_n_nodes(g); i < n; i++) {
    struct node_cost c = graph_node_cost(g, i);
    if (op && strcmp(c.op, op) != 0) continue;
    sum.forward += c.flops.forward;
    sum.backward += c.flops.backward;
  }
  return sum;
}

static void plan(struct graph *g, struct value root) {
  if (graph_plan_vjp(g, root) != OK) fail_msg("%s", fail_message());
}

/* Two images [3,8,8], 5 kernels of 3x3, stride 2, pad 1: 2*5*4*4 outputs of 27 products. No gradient for the images. */
static void a_convolution_of_inputs(void **state) {
  (void)state;
  struct graph *g = open_graph(GRAPH_TRAIN);
  struct value x = graph_input(g, "x", shape_4(2, 3, 8, 8)),
               w = graph_param(g, "w", shape_4(5, 3, 3, 3), uniform);
  struct value y = conv2d(g, x, w, 2, 1), w2 = graph_param(g, "w2", shape_4(4, 5, 1, 1), uniform);
  plan(g, conv2d(g, y, w2, 1, 0));
  struct flops f = flops_of(g, NULL);
  const double first = 2 * 2 * 5 * 4 * 4 * 27, second = 2 * 2 * 4 * 4 * 4 * 5;
  assert_true(f.forward == first + second);
  assert_true(f.backward == first + 2 * second);
  graph_close(&g);
}

/* 6 rows, 4 -> 3 with a bias: 6*3*4 products and 6*3 additions. */
static void a_linear_layer(void **state) {
  (void)state;
  struct graph *g = open_graph(GRAPH_TRAIN);
  struct value x = graph_input(g, "x", shape_2(6, 4)), w = graph_param(g, "w", shape_2(3, 4), uniform);
  struct value y = linear(g, x, w, graph_param(g, "b", shape_1(3), uniform));
  plan(g, gather_rows(g, y, (const int32_t[]){1, 0}, 2)); /* that only moves numbers */
  struct flops f = flops_of(g, NULL);
  assert_true(f.forward == 2 * 72 + 18);
  assert_true(f.backward == 2 * 72 + 18);
  /* float64: x, w, b, y; back dy, x and w again, dw, db */
  const struct node_cost c = graph_node_cost(g, 0);
  assert_true(c.forward_bytes == 8 * (24 + 12 + 3 + 18));
  assert_true(c.backward_bytes == 8 * (18 + 24 + 12 + 12 + 3));
  graph_close(&g);
}

/* methods section 3: one product 2BKD^2 = 17.2 GFLOP; a step has three of them; the rest is of order BKD. */
static void the_hypernetwork_in_products(void **state) {
  (void)state;
  const int64_t b = 256, k = 128, d = 512;
  struct graph *g = open_graph(GRAPH_TRAIN);
  struct value w = graph_param(g, "w", shape_2(d * d, k), uniform),
               t = graph_param(g, "t", shape_2(b, k), uniform),
               r = graph_param(g, "r", shape_2(b, d), uniform);
  plan(g, hyper_bilinear(g, w, t, r));
  struct flops f = flops_of(g, "hyper_bilinear");
  const double product = 2.0 * 256 * 128 * 512 * 512, pairs = 256.0 * 128 * 512;
  assert_true(product > 17.15e9 && product < 17.25e9);
  assert_true(f.forward == product + pairs);
  assert_true(f.backward == 2 * product + 5 * pairs);
  graph_close(&g);
}

/* torchvision publishes 1.814, 3.664 and 4.089 G multiply-adds per image of 224 pixels, the classifier's 0.5 M and
 * 2 M among them. */
static void residual_networks_as_published(void **state) {
  (void)state;
  static const struct {
    const char *arch;
    double products;
  } cases[] = {{"resnet18", 1.814e9}, {"resnet34", 3.664e9}, {"resnet50", 4.089e9}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct graph *g = open_graph(GRAPH_FORWARD);
    struct model_options options = {cases[i].arch, "imagenet", 64};
    struct model *m;
    assert_int_equal(model_open(&m, g, &options), OK);
    graph_output(g, "y", backbone(m, graph_input(g, "x", shape_4(2, 3, 224, 224)), 1));
    plan(g, (struct value){0});
    struct flops f = flops_of(g, "conv2d");
    double per_image = f.forward / 2 / 2;
    if (!(per_image > 0.99 * cases[i].products && per_image < 1.01 * cases[i].products))
      fail_msg("%s: %g multiply-adds per image, not %g", cases[i].arch, per_image, cases[i].products);
    assert_true(f.backward == 0);
    model_close(&m);
    graph_close(&g);
  }
}

/* A plan that nobody could hold in memory is made, and refuses to run. */
static void plans_without_memory_do_not_run(void **state) {
  (void)state;
  struct graph *g = open_graph(GRAPH_TRAIN);
  float one = 1;
  struct value x = graph_input(g, "x", shape_2((int64_t)1 << 20, (int64_t)1 << 20)),
               w = graph_param(g, "w", shape_2(1, (int64_t)1 << 20), uniform);
  plan(g, linear(g, x, w, (struct value){0}));
  assert_true(graph_param_bytes(g) >= (size_t)8 << 40);
  assert_true(graph_arena_bytes(g) >= (size_t)8 << 20);
  assert_int_equal(graph_forward(g), E_ARG);
  assert_int_equal(graph_write_f32(g, x, &one, 1), E_ARG);
  assert_int_equal(graph_write_pixels(g, x, NULL, NULL, NULL), E_ARG);
  graph_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_convolution_of_inputs), cmocka_unit_test(a_linear_layer),
      cmocka_unit_test(the_hypernetwork_in_products), cmocka_unit_test(residual_networks_as_published),
      cmocka_unit_test(plans_without_memory_do_not_run)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
