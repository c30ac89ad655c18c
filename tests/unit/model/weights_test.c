#include "model/weights.h"

#include "model/backbone.h"
#include "model/head.h"
#include "test.h"

/* A small network with one head, or none. */
struct network {
  struct graph *g;
  struct model *m;
};

static struct network open_network(bool head, uint64_t seed) {
  struct network w = {0};
  struct model_options o = {"resnet10", "cifar", 2};
  assert_int_equal(graph_open(&w.g, &(struct graph_config){"ref", GRAPH_FORWARD, 1}), OK);
  assert_int_equal(model_open(&w.m, w.g, &o), OK);
  struct value y = backbone(w.m, graph_input(w.g, "x", (struct shape){4, {4, 3, 8, 8}}), 2);
  if (head) y = mlp(w.m, "inv_projector", &(struct widths){2, {4, 3}}, y, 2);
  graph_output(w.g, "y", y);
  assert_int_equal(graph_plan(w.g, (struct value){0}), OK);
  assert_int_equal(graph_init(w.g, seed), OK);
  return w;
}

static void close_network(struct network *w) {
  model_close(&w->m);
  graph_close(&w->g);
}

static double first_of(struct graph *g, const char *name) {
  struct value v = graph_find(g, name);
  int64_t n = shape_count(graph_shape(g, v));
  double *data = malloc((size_t)n * sizeof *data);
  assert_int_equal(graph_read_f64(g, v, data, n), OK);
  double first = data[0];
  free(data);
  return first;
}

static const struct metadata said[] = {
    {"size", "32"}, {"mean", "0.5,0.25,0.125"}, {"std", "1,2,3"}, {"method", "stl"}};

static struct safetensors *saved(struct network *w, const char *path, bool backbone_only) {
  if (backbone_only)
    assert_int_equal(weights_save_backbone(w->m, path, said, 4), OK);
  else
    assert_int_equal(weights_save(w->m, path, said, 4), OK);
  struct safetensors *file;
  assert_int_equal(safetensors_open(&file, path), OK);
  return file;
}

static void a_saved_network_loads_back(void **state) {
  (void)state;
  struct network a = open_network(true, 1), b = open_network(true, 2);
  model_count_step(a.m);
  struct safetensors *file = saved(&a, "final.safetensors", false);
  assert_true(first_of(a.g, "inv_projector.0.weight") != first_of(b.g, "inv_projector.0.weight"));
  assert_int_equal(weights_load(b.m, file, "final.safetensors", false), OK);
  assert_true((float)first_of(a.g, "inv_projector.0.weight") == first_of(b.g, "inv_projector.0.weight"));
  assert_true((float)first_of(a.g, "backbone.conv1.weight") == first_of(b.g, "backbone.conv1.weight"));
  const struct tensor_view *tracked = safetensors_find(file, "backbone.layer4.0.bn2.num_batches_tracked");
  assert_non_null(tracked);
  assert_int_equal(tracked->n_dims, 0);
  assert_int_equal(*(const int64_t *)tracked->data, 2);
  assert_int_equal(b.m->norms[0].tracked, 2);
  safetensors_close(&file);
  close_network(&a);
  close_network(&b);
}

static void equal_weights_are_equal_bytes(void **state) {
  (void)state;
  struct network a = open_network(true, 1), b = open_network(true, 1);
  struct safetensors *file = saved(&a, "a.safetensors", false);
  safetensors_close(&file);
  file = saved(&b, "b.safetensors", false);
  safetensors_close(&file);
  assert_int_equal(system("cmp -s a.safetensors b.safetensors"), 0);
  close_network(&a);
  close_network(&b);
}

static void the_files_describe_themselves(void **state) {
  (void)state;
  struct network a = open_network(true, 1);
  struct safetensors *file = saved(&a, "backbone.safetensors", true);
  assert_non_null(safetensors_find(file, "layer1.0.conv1.weight"));
  assert_null(safetensors_find(file, "inv_projector.0.weight"));
  struct weights_info info;
  assert_int_equal(weights_info(&info, file), OK);
  assert_true(info.backbone_only && info.has_mean_std && info.size == 32 && info.mean[1] == 0.25 &&
              info.std[2] == 3);
  assert_string_equal(info.method, "stl");
  struct model_options o = {0};
  assert_int_equal(model_resolve(&o, file), OK);
  assert_string_equal(o.arch, "resnet10");
  assert_string_equal(o.stem, "cifar");
  assert_int_equal(o.width, 2);
  o = (struct model_options){"resnet18", NULL, 0};
  assert_int_equal(model_resolve(&o, file), E_ARG);
  o = (struct model_options){NULL, NULL, 64};
  assert_int_equal(model_resolve(&o, file), E_ARG);
  safetensors_close(&file);
  close_network(&a);
}

static void a_backbone_file_fits_what_it_can_hold(void **state) {
  (void)state;
  struct network a = open_network(true, 1), bare = open_network(false, 2), whole = open_network(true, 3);
  struct safetensors *file = saved(&a, "backbone.safetensors", true);
  assert_int_equal(weights_load(bare.m, file, "backbone.safetensors", false), OK);
  assert_true((float)first_of(a.g, "backbone.conv1.weight") == first_of(bare.g, "backbone.conv1.weight"));
  double head = first_of(whole.g, "inv_projector.0.weight");
  assert_int_equal(weights_load(whole.m, file, "backbone.safetensors", false), E_FORMAT);
  assert_non_null(strstr(fail_message(), "inv_projector.0.weight"));
  assert_true(first_of(whole.g, "backbone.conv1.weight") != first_of(bare.g, "backbone.conv1.weight"));
  assert_int_equal(weights_load(whole.m, file, "backbone.safetensors", true), OK);
  assert_true(first_of(whole.g, "backbone.conv1.weight") == first_of(bare.g, "backbone.conv1.weight"));
  assert_true(first_of(whole.g, "inv_projector.0.weight") == head);
  safetensors_close(&file);
  close_network(&a);
  close_network(&bare);
  close_network(&whole);
}

/* Rewrites final.safetensors of `a` with one change and loads it into a network without or with the head. */
struct change {
  const char *drop, *add, *reshape; /* names of tensors */
  bool add_i64, head;
  enum status want;
  const char *message;
};

static enum status load_changed(const struct change *c) {
  struct network a = open_network(true, 1), b = open_network(c->head, 2);
  struct safetensors *file = saved(&a, "final.safetensors", false);
  struct tensor_view views[200];
  size_t n = 0;
  for (size_t i = 0; i < safetensors_count(file); i++) {
    views[n] = *safetensors_at(file, i);
    if (c->drop && strstr(views[n].name, c->drop)) continue;
    if (c->reshape && strcmp(views[n].name, c->reshape) == 0) {
      views[n].n_dims = 2;
      views[n].shape[0] = 1;
      views[n].shape[1] = (int64_t)(views[n].size / sizeof(float));
    }
    n++;
  }
  static const float number = 1;
  static const int64_t whole = 1;
  if (c->add)
    views[n++] =
        (struct tensor_view){c->add, c->add_i64 ? DTYPE_I64 : DTYPE_F32,          0,
                             {0},    c->add_i64 ? (const void *)&whole : &number, c->add_i64 ? 8 : 4};
  assert_int_equal(safetensors_write("changed.safetensors", views, n, NULL, 0), OK);
  safetensors_close(&file);
  assert_int_equal(safetensors_open(&file, "changed.safetensors"), OK);
  double before = first_of(b.g, "backbone.conv1.weight");
  enum status st = weights_load(b.m, file, "changed.safetensors", false);
  assert_true((first_of(b.g, "backbone.conv1.weight") == before) == (st != OK));
  safetensors_close(&file);
  close_network(&a);
  close_network(&b);
  return st;
}

static void only_what_the_contract_forgives_is_forgiven(void **state) {
  (void)state;
  static const struct change changes[] = {
      {.head = true, .want = OK},
      {.head = false, .want = OK, .message = NULL}, /* a head that this stage does not use */
      {.drop = "num_batches_tracked", .head = true, .want = OK},
      {.add = "fc.weight", .want = OK},
      {.add = "equi_transform.hypernet.weight", .head = true, .want = OK},
      {.add = "rotation_head.0.weight", .want = OK},
      {.add = "target.backbone.conv1.weight", .want = OK},
      {.add = "target.momentum.weight", .want = E_FORMAT, .message = "unknown: target.momentum.weight"},
      {.add = "_head.0.weight", .want = E_FORMAT, .message = "unknown: _head.0.weight"},
      {.drop = "backbone.layer2.0.conv2.weight",
       .want = E_FORMAT,
       .message = "missing: backbone.layer2.0.conv2.weight"},
      {.drop = "inv_projector.3.weight",
       .head = true,
       .want = E_FORMAT,
       .message = "missing: inv_projector.3.weight"},
      {.drop = "bn1.running_mean", .want = E_FORMAT, .message = "backbone.bn1.running_mean"},
      {.add = "backbone.layer5.weight", .want = E_FORMAT, .message = "unknown: backbone.layer5.weight"},
      {.add = "momentum.backbone.conv1.weight", .want = E_FORMAT, .message = "unknown: momentum.backbone"},
      {.add = "inv_projector.6.weight",
       .head = true,
       .want = E_FORMAT,
       .message = "unknown: inv_projector.6.weight"},
      {.add = "inv_projectors.0.weight", .want = E_FORMAT, .message = "unknown: inv_projectors.0.weight"},
      {.add = "backbone.bn9.num_batches_tracked",
       .add_i64 = true,
       .want = E_FORMAT,
       .message = "unknown: backbone.bn9"},
      {.reshape = "backbone.bn1.weight",
       .want = E_FORMAT,
       .message = "backbone.bn1.weight is [1,2], not [2]"}};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    enum status st = load_changed(&changes[i]);
    if (st != changes[i].want) fail_msg("change %zu: %s: %s", i, status_name(st), fail_message());
    if (changes[i].message && !strstr(fail_message(), changes[i].message))
      fail_msg("change %zu: '%s' does not say '%s'", i, fail_message(), changes[i].message);
  }
}

/* A network with target networks beside it. */
static struct network open_with_target(uint64_t seed, struct model **target) {
  struct network w = {0};
  struct model_options o = {"resnet10", "cifar", 2};
  assert_int_equal(graph_open(&w.g, &(struct graph_config){"ref", GRAPH_FORWARD, 1}), OK);
  assert_int_equal(model_open(&w.m, w.g, &o), OK);
  assert_int_equal(model_open_target(target, w.m), OK);
  struct value x = graph_input(w.g, "x", (struct shape){4, {4, 3, 8, 8}});
  const struct widths widths = {2, {4, 3}};
  graph_output(w.g, "y", mlp_last_bias(w.m, "inv_projector", &widths, backbone(w.m, x, 2), 2));
  graph_output(w.g, "z", mlp_last_bias(*target, "inv_projector", &widths, backbone(*target, x, 2), 2));
  assert_int_equal(graph_plan(w.g, (struct value){0}), OK);
  assert_int_equal(graph_init(w.g, seed), OK);
  return w;
}

static double last_bias(const struct network *w, const char *name) {
  double b[3];
  assert_int_equal(graph_read_f64(w->g, graph_find(w->g, name), b, 3), OK);
  return b[0];
}

static void target_networks_are_saved_and_start_as_copies_without_them(void **state) {
  (void)state;
  struct model *t1, *t2, *t3;
  struct network a = open_with_target(1, &t1), b = open_with_target(2, &t2), c = open_with_target(3, &t3);
  struct network bare = open_network(false, 4);
  const double moved[3] = {5, 6, 7};
  assert_true(last_bias(&a, "inv_projector.3.bias") == last_bias(&a, "target.inv_projector.3.bias"));
  assert_int_equal(graph_write_f64(a.g, graph_find(a.g, "target.inv_projector.3.bias"), moved, 3), OK);
  model_count_step(a.m);
  struct safetensors *file = saved(&a, "target.safetensors", false), *backbone_file;
  assert_non_null(safetensors_find(file, "target.backbone.bn1.num_batches_tracked"));
  assert_int_equal(weights_load(b.m, file, "target.safetensors", false), OK);
  assert_true(last_bias(&b, "target.inv_projector.3.bias") == 5);
  assert_true(last_bias(&b, "inv_projector.3.bias") == (float)last_bias(&a, "inv_projector.3.bias"));
  assert_int_equal(weights_load(bare.m, file, "target.safetensors", false), OK); /* has no use for them */
  backbone_file = saved(&a, "backbone.safetensors", true);
  assert_null(safetensors_find(backbone_file, "target.conv1.weight"));
  assert_int_equal(weights_load(c.m, backbone_file, "backbone.safetensors", false), E_FORMAT);
  assert_int_equal(weights_load(c.m, backbone_file, "backbone.safetensors", true), OK);
  assert_true(first_of(c.g, "target.backbone.conv1.weight") == (float)first_of(a.g, "backbone.conv1.weight"));
  assert_true(last_bias(&c, "target.inv_projector.3.bias") == last_bias(&c, "inv_projector.3.bias"));
  safetensors_close(&file);
  safetensors_close(&backbone_file);
  model_close(&t1);
  model_close(&t2);
  model_close(&t3);
  close_network(&a);
  close_network(&b);
  close_network(&c);
  close_network(&bare);
}

static void bad_metadata_is_refused(void **state) {
  (void)state;
  static const struct {
    struct metadata entries[2];
    bool info;
  } cases[] = {{{{"size", "big"}}, true},
               {{{"size", "0"}}, true},
               {{{"mean", "1,2,3"}}, true},
               {{{"mean", "1,2"}, {"std", "1,1,1"}}, true},
               {{{"mean", "1,2,3"}, {"std", "1,0,1"}}, true},
               {{{"mean", "1,nan,3"}, {"std", "1,1,1"}}, true},
               {{{"mean", "1,2,3"}, {"std", "1,1,inf"}}, true},
               {{{"mean", "1,2,3,4"}, {"std", "1,1,1"}}, true},
               {{{"arch", "vgg"}}, false},
               {{{"width", "1x"}}, false},
               {{{"width", "0"}}, false},
               {{{"stem", ""}}, false}};
  static const float zero = 0;
  const struct tensor_view view = {"conv1.weight", DTYPE_F32, 1, {1}, &zero, 4};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct safetensors *file;
    struct weights_info info;
    struct model_options o = {0};
    const size_t n = cases[i].entries[1].key ? 2 : 1;
    assert_int_equal(safetensors_write("odd.safetensors", &view, 1, cases[i].entries, n), OK);
    assert_int_equal(safetensors_open(&file, "odd.safetensors"), OK);
    assert_int_equal(cases[i].info ? weights_info(&info, file) : model_resolve(&o, file), E_FORMAT);
    safetensors_close(&file);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_saved_network_loads_back),
      cmocka_unit_test(equal_weights_are_equal_bytes),
      cmocka_unit_test(the_files_describe_themselves),
      cmocka_unit_test(a_backbone_file_fits_what_it_can_hold),
      cmocka_unit_test(only_what_the_contract_forgives_is_forgiven),
      cmocka_unit_test(target_networks_are_saved_and_start_as_copies_without_them),
      cmocka_unit_test(bad_metadata_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
