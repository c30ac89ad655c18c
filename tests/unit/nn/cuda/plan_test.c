/* Graphs planned for GPUs that are only described, with cuDNN's own plans: what `describe` does without a GPU. */
#include "model/backbone.h"
#include "nn/cost.h"
#include "nn/linear/linear.h"

#include "test.h"

enum { IMAGES = 16, SIDE = 32 };
static const size_t PRODUCT = (size_t)32 << 20; /* what a described product counts as workspace */

static struct graph *open_graph(const char *device, enum precision precision) {
  struct graph *g = NULL;
  if (graph_open(&g, &(struct graph_config){.device = device,
                                            .mode = GRAPH_INFERENCE,
                                            .plan_only = true,
                                            .precision = precision,
                                            .plans = PLANS_DETERMINISTIC}) != OK)
    fail_msg("%s", fail_message());
  return g;
}

/* A counted skip without cuDNN. */
static void plan(struct graph *g) {
  if (graph_plan(g, (struct value){0}) == OK) return;
  const bool missing = strstr(fail_message(), "not found");
  print_message("%s\n", fail_message());
  graph_close(&g);
  if (missing) skip();
  fail_msg("the graph has no plan");
}

static struct graph_memory network_memory(const char *device, enum precision precision) {
  struct model_options options = {"resnet18", "cifar", 64};
  struct model *m = NULL;
  struct graph *g = open_graph(device, precision);
  assert_int_equal(model_resolve(&options, NULL), OK);
  assert_int_equal(model_open(&m, g, &options), OK);
  graph_output(g, "y", backbone(m, graph_input(g, "x", (struct shape){4, {IMAGES, 3, SIDE, SIDE}}), 1));
  plan(g);
  const struct graph_memory memory = graph_memory(g);
  model_close(&m);
  graph_close(&g);
  return memory;
}

static void networks_are_planned_without_the_gpu(void **state) {
  (void)state;
  static const char *const devices[] = {"cuda:h200", "cuda:a100"};
  for (int i = 0; i < 2; i++) {
    const struct graph_memory f32 = network_memory(devices[i], PRECISION_F32),
                              tf32 = network_memory(devices[i], PRECISION_TF32),
                              bf16 = network_memory(devices[i], PRECISION_BF16);
    assert_int_equal(f32.inputs, IMAGES * SIDE * SIDE * 8 * sizeof(float)); /* 3 channels, padded to 8 */
    assert_int_equal(bf16.inputs, f32.inputs / 2);
    assert_int_equal(tf32.parameters, f32.parameters);
    assert_int_equal(bf16.parameters, f32.parameters);                      /* master weights */
    assert_true(f32.arena > 2 * IMAGES * SIDE * SIDE * 64 * sizeof(float)); /* two activations at least */
    assert_true(f32.own.device > 2 * IMAGES * SIDE * SIDE * 3);
  }
}

static void a_product_counts_its_most_workspace(void **state) {
  (void)state;
  struct graph *g = open_graph("cuda:h200", PRECISION_F32);
  const struct value x = graph_input(g, "x", (struct shape){2, {4, 8}}),
                     w = graph_param(g, "w", (struct shape){2, {8, 8}}, (struct init){INIT_ONE, 0});
  graph_output(g, "y", linear(g, x, w, (struct value){0}));
  plan(g);
  assert_in_range(graph_arena_bytes(g), PRODUCT, PRODUCT + 4096);
  graph_close(&g);
}

/* "cuda" alone is the GPU of this machine where there is one. */
static void without_a_gpu_an_h200_is_meant(void **state) {
  (void)state;
  struct graph *g = NULL;
  bool described;
  if (graph_open(&g, &(struct graph_config){.device = "cuda"}) == OK) {
    graph_close(&g);
    skip();
  }
  assert_null(g);
  g = open_graph("cuda", PRECISION_F32);
  assert_string_equal(graph_hardware(g, &described), "NVIDIA H200");
  assert_true(described);
  graph_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks_are_planned_without_the_gpu),
      cmocka_unit_test(a_product_counts_its_most_workspace),
      cmocka_unit_test(without_a_gpu_an_h200_is_meant),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
