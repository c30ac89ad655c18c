#include "model/head.h"

#include "test.h"

static void width_lists_parse_or_name_the_flag(void **state) {
  (void)state;
  struct widths w;
  assert_int_equal(widths_parse(&w, "512-512-128", "projector"), OK);
  assert_int_equal(w.n, 3);
  assert_int_equal(w.width[0], 512);
  assert_int_equal(w.width[2], 128);
  assert_int_equal(widths_parse(&w, "7", "projector"), OK);
  assert_int_equal(w.n, 1);
  static const char *const bad[] = {"",
                                    "-",
                                    "12-",
                                    "-12",
                                    "12--3",
                                    "0",
                                    "4-0",
                                    "x",
                                    "12x",
                                    "12-3 ",
                                    " 3",
                                    "+3",
                                    "99999999999999999999",
                                    "2000000",
                                    "1-2-3-4-5-6-7-8-9"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(widths_parse(&w, bad[i], "trans-projector"), E_ARG);
    assert_non_null(strstr(fail_message(), "--trans-projector"));
  }
}

struct heads {
  struct graph *g;
  struct model *m;
};

static struct heads open_heads(void) {
  struct heads h = {0};
  struct model_options o = {0};
  assert_int_equal(model_resolve(&o, NULL), OK);
  assert_int_equal(graph_open(&h.g, &(struct graph_config){"ref", GRAPH_FORWARD, 1}), OK);
  assert_int_equal(model_open(&h.m, h.g, &o), OK);
  return h;
}

static void close_heads(struct heads *h) {
  model_close(&h->m);
  graph_close(&h->g);
}

static void mlp_has_the_official_names_and_no_biases(void **state) {
  (void)state;
  struct heads h = open_heads();
  struct widths w = {3, {6, 7, 5}};
  struct value x = graph_input(h.g, "x", (struct shape){2, {4, 9}});
  struct value y = mlp(h.m, "inv_projector", &w, x, 2);
  assert_int_equal(graph_plan(h.g, (struct value){0}), OK);
  assert_int_equal(graph_shape(h.g, y).dim[0], 4);
  assert_int_equal(graph_shape(h.g, y).dim[1], 5);
  static const char *const names[] = {
      "inv_projector.0.weight",       "inv_projector.1.weight",      "inv_projector.1.bias",
      "inv_projector.1.running_mean", "inv_projector.1.running_var", "inv_projector.3.weight",
      "inv_projector.4.weight",       "inv_projector.4.bias",        "inv_projector.4.running_mean",
      "inv_projector.4.running_var",  "inv_projector.6.weight"};
  const struct graph_tensor *t;
  assert_int_equal(graph_tensors(h.g, &t), sizeof names / sizeof *names);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_true(graph_find(h.g, names[i]).id != 0);
  assert_int_equal(graph_shape(h.g, graph_find(h.g, "inv_projector.3.weight")).dim[1], 6);
  close_heads(&h);
}

/* methods section 8 (11): D = 2, K = 1, W = [[1,2],[3,4]], t = 2, r = (1, 1) -> (6, 14). */
static void hypernetwork_is_the_bilinear_form(void **state) {
  (void)state;
  struct heads h = open_heads();
  struct value t = graph_input(h.g, "t", (struct shape){2, {1, 1}});
  struct value r = graph_input(h.g, "r", (struct shape){2, {1, 2}});
  struct value y = hypernetwork(h.m, "equi_transform", t, r);
  graph_output(h.g, "y", y);
  assert_int_equal(graph_plan(h.g, (struct value){0}), OK);
  struct value w = graph_find(h.g, "equi_transform.hypernet.weight");
  assert_int_equal(graph_shape(h.g, w).dim[0], 4);
  assert_int_equal(graph_shape(h.g, w).dim[1], 1);
  double out[2];
  assert_int_equal(graph_write_f64(h.g, w, (const double[]){1, 2, 3, 4}, 4), OK);
  assert_int_equal(graph_write_f64(h.g, t, (const double[]){2}, 1), OK);
  assert_int_equal(graph_write_f64(h.g, r, (const double[]){1, 1}, 2), OK);
  assert_int_equal(graph_forward(h.g), OK);
  assert_int_equal(graph_read_f64(h.g, y, out, 2), OK);
  assert_true(out[0] == 6 && out[1] == 14);
  close_heads(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(width_lists_parse_or_name_the_flag),
                                     cmocka_unit_test(mlp_has_the_official_names_and_no_biases),
                                     cmocka_unit_test(hypernetwork_is_the_bilinear_form)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
