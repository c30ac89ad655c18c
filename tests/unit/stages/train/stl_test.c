/* methods section 8 (12, 13, 14): what must and must not change STL's losses and gradients; finite
 * differences. */
#include <math.h>

#include "tiny.h"

/* Row r of each view becomes image from[r]; with `swap`, the views change places. */
static void rearrange(double *out, const double *views, const int from[TINY_N], bool swap) {
  for (int v = 0; v < 2; v++)
    for (int r = 0; r < TINY_N; r++)
      memcpy(out + (v * TINY_N + r) * TINY_IMAGE,
             views + ((swap ? 1 - v : v) * TINY_N + from[r]) * TINY_IMAGE, TINY_IMAGE * sizeof *out);
}

static bool same(double a, double b) { return fabs(a - b) <= 1e-12 * fabs(b); }

struct arrangement {
  const char *what;
  int from[TINY_N];
  bool swap;
};

static void the_loss_ignores_which_partner_view_or_pair_comes_first(void **state) {
  (void)state;
  static const struct arrangement cases[] = {{"partners swapped", {1, 0, 3, 2, 5, 4, 7, 6}, false},
                                             {"views swapped", {0, 1, 2, 3, 4, 5, 6, 7}, true},
                                             {"pairs permuted", {4, 5, 0, 1, 6, 7, 2, 3}, false}};
  static double views[TINY_VIEWS], other[TINY_VIEWS];
  struct step *s = tiny_open("stl", 1, 1, 0.2);
  tiny_views(views);
  struct losses a = tiny_forward(s, views);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    rearrange(other, views, cases[i].from, cases[i].swap);
    struct losses b = tiny_forward(s, other);
    if (!same(a.total, b.total)) fail_msg("%s: %.17g is not %.17g", cases[i].what, b.total, a.total);
  }
  step_close(&s);
}

static void shifting_pair_boundaries_changes_equi_and_trans_alone(void **state) {
  (void)state;
  static const int shifted[TINY_N] = {1, 2, 3, 4, 5, 6, 7, 0};
  static double views[TINY_VIEWS], other[TINY_VIEWS];
  struct step *s = tiny_open("stl", 1, 1, 0.2);
  tiny_views(views);
  struct losses a = tiny_forward(s, views);
  rearrange(other, views, shifted, false);
  struct losses b = tiny_forward(s, other);
  assert_true(same(a.term[TERM_INV], b.term[TERM_INV]));
  assert_true(fabs(a.term[TERM_EQUI] - b.term[TERM_EQUI]) > 1e-6);
  assert_true(fabs(a.term[TERM_TRANS] - b.term[TERM_TRANS]) > 1e-6);
  step_close(&s);
}

static void losses_stay_within_their_bounds(void **state) {
  (void)state;
  static double views[TINY_VIEWS];
  struct step *s = tiny_open("stl", 1, 1, 0.2);
  tiny_views(views);
  struct losses l = tiny_forward(s, views);
  static const int pairs[N_TERMS] = {TINY_N, 2 * TINY_N, TINY_N};
  for (int i = 0; i < N_TERMS; i++) {
    double others = 2 * pairs[i] - 2;
    assert_true(l.term[i] > log(1 + others * exp(-10)) && l.term[i] < log(1 + others * exp(10)));
  }
  assert_true(same(l.total, l.term[TERM_INV] + l.term[TERM_EQUI] + 0.2 * l.term[TERM_TRANS]));
  step_close(&s);
}

/* The gradient of `name` under the given weights; NULL if the step
 * has no such parameter. The caller frees. */
static double *gradient(const char *method, const double weight[N_TERMS], const char *name, int64_t *n) {
  static double views[TINY_VIEWS];
  struct step *s = tiny_open(method, weight[0], weight[1], weight[2]);
  double *data = NULL;
  tiny_views(views);
  tiny_forward(s, views);
  TINY_OK(graph_backward(s->graph));
  struct value v = graph_find(s->graph, name);
  if (v.id) {
    v = graph_gradient(s->graph, v);
    *n = shape_count(graph_shape(s->graph, v));
    data = malloc((size_t)*n * sizeof *data);
    TINY_OK(graph_read_f64(s->graph, v, data, *n));
  }
  step_close(&s);
  return data;
}

/* A parameter's gradient under all three terms is its gradient under those that may reach it. */
static void each_head_learns_from_its_own_term(void **state) {
  (void)state;
  static const struct {
    const char *name;
    double weight[N_TERMS];
  } cases[] = {{"equi_transform.hypernet.weight", {0, 1, 0}}, {"trans_backbone.0.weight", {0, 1, 0.2}},
               {"trans_backbone.3.weight", {0, 1, 0.2}},      {"trans_projector.0.weight", {0, 0, 0.2}},
               {"equi_projector.3.weight", {0, 1, 0}},        {"inv_projector.0.weight", {1, 0, 0}}};
  static const double all[N_TERMS] = {1, 1, 0.2};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t n = 0, m = 0;
    double *a = gradient("stl", all, cases[i].name, &n),
           *b = gradient("stl", cases[i].weight, cases[i].name, &m);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(n, m);
    double norm = 0, difference = 0;
    for (int64_t k = 0; k < n; k++) norm += a[k] * a[k], difference += (a[k] - b[k]) * (a[k] - b[k]);
    if (!(norm > 1e-12) || !(difference <= 1e-24 * norm))
      fail_msg("%s: norm %g, difference %g", cases[i].name, sqrt(norm), sqrt(difference));
    free(a);
    free(b);
  }
}

static void a_zero_weight_leaves_its_branch_out(void **state) {
  (void)state;
  int64_t n;
  assert_null(gradient("stl", (const double[]){1, 0, 0.2}, "equi_transform.hypernet.weight", &n));
  assert_null(gradient("stl", (const double[]){1, 0, 0}, "trans_backbone.0.weight", &n));
  assert_null(gradient("stl", (const double[]){0, 1, 0}, "trans_projector.0.weight", &n));
  assert_null(gradient("stl", (const double[]){0, 1, 1}, "inv_projector.0.weight", &n));
  assert_null(gradient("simclr", (const double[]){1, 1, 1}, "equi_projector.0.weight", &n));
}

static void simclr_is_the_first_term_of_stl(void **state) {
  (void)state;
  static double views[TINY_VIEWS];
  struct step *stl = tiny_open("stl", 1, 1, 0.2), *simclr = tiny_open("simclr", 1, 1, 0.2);
  tiny_views(views);
  struct losses a = tiny_forward(stl, views), b = tiny_forward(simclr, views);
  assert_true(same(b.term[TERM_INV], a.term[TERM_INV]) && same(b.total, a.term[TERM_INV]));
  assert_true(b.term[TERM_EQUI] == 0 && b.term[TERM_TRANS] == 0);
  step_close(&stl);
  step_close(&simclr);
}

/* How many calls updated a running mean: its starting value is left with the factor 0.9^calls. */
static int calls_of(struct step *s, const char *name, const double *views) {
  char full[NORM_NAME_SIZE + 16];
  double after[2], data[64];
  snprintf(full, sizeof full, "%s.running_mean", name);
  struct value v = graph_find(s->graph, full);
  int64_t n = shape_count(graph_shape(s->graph, v));
  for (int start = 0; start < 2; start++) {
    for (int64_t i = 0; i < n; i++) data[i] = start;
    TINY_OK(graph_write_f64(s->graph, v, data, n));
    tiny_forward(s, views);
    TINY_OK(graph_read_f64(s->graph, v, data, n));
    after[start] = data[0];
  }
  return (int)lround(log(after[1] - after[0]) / log(0.9));
}

static void batch_norms_are_called_as_often_as_in_the_official_code(void **state) {
  (void)state;
  static double views[TINY_VIEWS];
  struct step *s = tiny_open("stl", 1, 1, 0.2);
  tiny_views(views);
  for (size_t i = 0; i < s->model->n_norms; i++) {
    const struct norm *norm = &s->model->norms[i];
    int want = strncmp(norm->name, "equi_projector", 14) == 0 ? 4 : 2;
    assert_int_equal(norm->calls_per_step, want);
    assert_int_equal(calls_of(s, norm->name, views), want);
  }
  step_close(&s);
}

/* The loss's derivative by element i of the parameter, whose values are x. */
static double slope(struct step *s, struct value v, double *x, int64_t n, int64_t i, const double *views) {
  const double at = x[i], h = 1e-6;
  double total[2];
  for (int side = 0; side < 2; side++) {
    x[i] = at + (side ? h : -h);
    TINY_OK(graph_write_f64(s->graph, v, x, n));
    total[side] = tiny_forward(s, views).total;
  }
  x[i] = at;
  TINY_OK(graph_write_f64(s->graph, v, x, n));
  return (total[1] - total[0]) / (2 * h);
}

/* Through backbone, f_T, phi, all heads and losses: three elements of every parameter. */
static void gradients_are_finite_differences(void **state) {
  (void)state;
  static double views[TINY_VIEWS];
  struct step *s = tiny_open("stl", 1, 1, 0.2);
  tiny_views(views);
  const struct graph_tensor *t;
  for (size_t p = 0, n_tensors = graph_tensors(s->graph, &t); p < n_tensors; p++) {
    if (!t[p].trained) continue;
    int64_t n = shape_count(t[p].shape);
    double *x = malloc((size_t)n * sizeof *x), *g = malloc((size_t)n * sizeof *g), scale = 0;
    tiny_forward(s, views);
    TINY_OK(graph_backward(s->graph));
    TINY_OK(graph_read_f64(s->graph, t[p].value, x, n));
    TINY_OK(graph_read_f64(s->graph, graph_gradient(s->graph, t[p].value), g, n));
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(g[i]));
    assert_true(scale > 1e-9);
    for (int64_t i = 0; i < n; i += n / 3 + 1) {
      double want = slope(s, t[p].value, x, n, i, views);
      if (!(fabs(g[i] - want) <= 1e-6 * fmax(scale, 1e-2)))
        fail_msg("%s[%lld]: %.9g, by differences %.9g", t[p].name, (long long)i, g[i], want);
    }
    free(x);
    free(g);
  }
  step_close(&s);
}

static int64_t trained_below(const struct step *s, const char *prefix) {
  const struct graph_tensor *t;
  int64_t sum = 0;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++)
    if (t[i].trained && strncmp(t[i].name, prefix, strlen(prefix)) == 0) sum += shape_count(t[i].shape);
  return sum;
}

static void the_published_codes_network_has_its_number_of_parameters(void **state) {
  (void)state;
  struct model_options model = {"resnet18", "imagenet", 64};
  struct method_options o = {"stl", "simclr", "512-128", "128-128", "128-128", 0.2, {1, 1, 0.1}};
  struct step_config config = {&model, &o, 4, 32, 32, "ref", 1};
  struct step *s;
  TINY_OK(step_open(&s, &config));
  assert_int_equal(trained_below(s, "backbone."), 11176512);
  assert_int_equal(trained_below(s, "trans_backbone."), 147712);
  assert_int_equal(trained_below(s, "equi_transform."), 33554432);
  assert_int_equal(trained_below(s, "inv_projector."), 328704);
  assert_int_equal(trained_below(s, "equi_projector."), 328704);
  assert_int_equal(trained_below(s, "trans_projector."), 33024);
  assert_int_equal(trained_below(s, ""), 45569088);
  step_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_loss_ignores_which_partner_view_or_pair_comes_first),
      cmocka_unit_test(shifting_pair_boundaries_changes_equi_and_trans_alone),
      cmocka_unit_test(losses_stay_within_their_bounds),
      cmocka_unit_test(each_head_learns_from_its_own_term),
      cmocka_unit_test(a_zero_weight_leaves_its_branch_out),
      cmocka_unit_test(simclr_is_the_first_term_of_stl),
      cmocka_unit_test(batch_norms_are_called_as_often_as_in_the_official_code),
      cmocka_unit_test(gradients_are_finite_differences),
      cmocka_unit_test(the_published_codes_network_has_its_number_of_parameters)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
