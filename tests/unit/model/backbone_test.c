#include "model/backbone.h"

#include "test.h"

struct network {
  struct graph *g;
  struct model *m;
  struct value features;
};

static struct network open_network(struct model_options options, int64_t n, int64_t size) {
  struct network w = {0};
  assert_int_equal(model_resolve(&options, NULL), OK);
  assert_int_equal(graph_open(&w.g, &(struct graph_config){"ref", GRAPH_INFERENCE, 1}), OK);
  assert_int_equal(model_open(&w.m, w.g, &options), OK);
  struct value x = graph_input(w.g, "x", (struct shape){4, {n, 3, size, size}});
  w.features = backbone(w.m, x, 1);
  graph_output(w.g, "features", w.features);
  if (graph_plan(w.g, (struct value){0}) != OK) fail_msg("%s", fail_message());
  return w;
}

static void close_network(struct network *w) {
  model_close(&w->m);
  graph_close(&w->g);
}

static int64_t n_trained(struct graph *g) {
  const struct graph_tensor *t;
  int64_t sum = 0;
  for (size_t i = 0, n = graph_tensors(g, &t); i < n; i++)
    if (t[i].trained) sum += shape_count(t[i].shape);
  return sum;
}

/* Numbers of torchvision's models without fc; methods section 3 states the 18 and the 50. */
static void parameter_counts_and_widths_are_torchvisions(void **state) {
  (void)state;
  static const struct {
    struct model_options options;
    int64_t parameters, features;
  } cases[] = {{{"resnet18", "imagenet", 64}, 11176512, 512},  {{"resnet34", "imagenet", 64}, 21284672, 512},
               {{"resnet50", "imagenet", 64}, 23508032, 2048}, {{"resnet10", "imagenet", 64}, 4905792, 512},
               {{"resnet18", "cifar", 64}, 11168832, 512},     {{"resnet18", "cifar", 16}, 700176, 128},
               {{"resnet10", "cifar", 5}, 30435, 40}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct network w = open_network(cases[i].options, 1, 32);
    assert_int_equal(n_trained(w.g), cases[i].parameters);
    assert_int_equal(model_features(&w.m->options), cases[i].features);
    assert_int_equal(graph_shape(w.g, w.features).dim[0], 1);
    assert_int_equal(graph_shape(w.g, w.features).dim[1], cases[i].features);
    close_network(&w);
  }
}

static void assert_tensor(struct graph *g, const char *name, struct shape want) {
  struct value v = graph_find(g, name);
  if (!v.id) fail_msg("there is no %s", name);
  struct shape have = graph_shape(g, v);
  assert_int_equal(have.n_dims, want.n_dims);
  for (int i = 0; i < want.n_dims; i++) assert_int_equal(have.dim[i], want.dim[i]);
}

static void names_and_shapes_are_torchvisions(void **state) {
  (void)state;
  struct network w = open_network((struct model_options){"resnet50", "imagenet", 8}, 2, 33);
  assert_tensor(w.g, "backbone.conv1.weight", (struct shape){4, {8, 3, 7, 7}});
  assert_tensor(w.g, "backbone.bn1.running_var", (struct shape){1, {8}});
  assert_tensor(w.g, "backbone.layer1.0.downsample.0.weight", (struct shape){4, {32, 8, 1, 1}});
  assert_tensor(w.g, "backbone.layer1.2.conv1.weight", (struct shape){4, {8, 32, 1, 1}});
  assert_tensor(w.g, "backbone.layer2.0.conv2.weight", (struct shape){4, {16, 16, 3, 3}});
  assert_tensor(w.g, "backbone.layer4.2.conv3.weight", (struct shape){4, {256, 64, 1, 1}});
  assert_tensor(w.g, "backbone.layer4.0.downsample.1.bias", (struct shape){1, {256}});
  assert_int_equal(graph_find(w.g, "backbone.layer1.1.downsample.0.weight").id, 0);
  assert_int_equal(graph_find(w.g, "backbone.layer1.3.conv1.weight").id, 0);
  assert_int_equal(w.m->n_norms, 53);
  close_network(&w);
  w = open_network((struct model_options){"resnet34", "cifar", 8}, 1, 9);
  assert_tensor(w.g, "backbone.conv1.weight", (struct shape){4, {8, 3, 3, 3}});
  assert_tensor(w.g, "backbone.layer3.5.conv2.weight", (struct shape){4, {32, 32, 3, 3}});
  assert_int_equal(graph_find(w.g, "backbone.layer1.0.downsample.0.weight").id, 0);
  close_network(&w);
}

static double mean_square(struct graph *g, const char *name) {
  struct value v = graph_find(g, name);
  int64_t n = shape_count(graph_shape(g, v));
  double *data = malloc((size_t)n * sizeof *data), sum = 0;
  assert_int_equal(graph_read_f64(g, v, data, n), OK);
  for (int64_t i = 0; i < n; i++) sum += data[i] * data[i];
  free(data);
  return sum / (double)n;
}

/* Kaiming-normal over fan-out: variance 2 / (k^2 C_out); the last BatchNorm of a block starts at scale 0. */
static void starting_values_follow_the_paper(void **state) {
  (void)state;
  struct network w = open_network((struct model_options){"resnet18", "imagenet", 32}, 1, 32);
  assert_int_equal(graph_init(w.g, 3), OK);
  double want = 2.0 / (9 * 256), have = mean_square(w.g, "backbone.layer4.1.conv1.weight");
  assert_true(have > 0.99 * want && have < 1.01 * want);
  want = 2.0 / 64;
  have = mean_square(w.g, "backbone.layer2.0.downsample.0.weight");
  assert_true(have > 0.9 * want && have < 1.1 * want);
  assert_true(mean_square(w.g, "backbone.layer1.0.bn2.weight") == 0);
  assert_true(mean_square(w.g, "backbone.layer1.0.bn1.weight") == 1);
  assert_true(mean_square(w.g, "backbone.layer2.0.downsample.1.weight") == 1);
  assert_true(mean_square(w.g, "backbone.bn1.running_var") == 1);
  assert_true(mean_square(w.g, "backbone.bn1.running_mean") == 0);
  close_network(&w);
}

static void bad_options_are_refused(void **state) {
  (void)state;
  struct model_options o = {"resnet19", NULL, 0};
  assert_int_equal(model_resolve(&o, NULL), E_ARG);
  assert_non_null(strstr(fail_message(), "resnet10|resnet18|resnet34|resnet50"));
  o = (struct model_options){NULL, "big", 0};
  assert_int_equal(model_resolve(&o, NULL), E_ARG);
  o = (struct model_options){NULL, NULL, -1};
  assert_int_equal(model_resolve(&o, NULL), E_ARG);
  o = (struct model_options){0};
  assert_int_equal(model_resolve(&o, NULL), OK);
  assert_string_equal(o.arch, "resnet18");
  assert_string_equal(o.stem, "imagenet");
  assert_int_equal(o.width, 64);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(parameter_counts_and_widths_are_torchvisions),
                                     cmocka_unit_test(names_and_shapes_are_torchvisions),
                                     cmocka_unit_test(starting_values_follow_the_paper),
                                     cmocka_unit_test(bad_options_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
