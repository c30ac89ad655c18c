/* methods section 8 (12, 13): under every base and method, what must and must not change the losses, which network
 * learns from which term, how often each BatchNorm is called, what a weight of 0 leaves out. */
#include <math.h>

#include "tiny.h"

enum { TINY_THIRD = 6, TINY_THIRD_IMAGE = 3 * TINY_THIRD * TINY_THIRD };

static const char *const bases[] = {"simclr", "byol", "simsiam", "barlow"};
static const char *const methods[] = {"none", "essl", "augself", "sen", "equimod", "sie", "stl"};
enum { N_BASES = 4, N_METHODS = 7 };

/* What a batch consists of: images by row, labels by row. */
struct batch {
  double views[2][TINY_N][TINY_IMAGE], third[TINY_N][TINY_THIRD_IMAGE];
  float labels[2][TINY_N][LABEL_COLUMNS];
};

static struct step *open_step(const char *base, const char *method, const char *const weight[N_TERMS]) {
  bool predicts = strcmp(base, "byol") == 0 || strcmp(base, "simsiam") == 0;
  const char *const argv[] = {"--base",
                              base,
                              "--method",
                              method,
                              "--projector",
                              "12-4",
                              "--predictor",
                              predicts ? "9-4" : "auto",
                              "--trans-backbone",
                              "9-3",
                              "--trans-projector",
                              "9-4",
                              "--rotation-head",
                              "9",
                              "--label-head",
                              "9",
                              "--inv",
                              weight[TERM_INV],
                              "--equi",
                              weight[TERM_EQUI],
                              "--trans",
                              weight[TERM_TRANS]};
  struct model_options model = {"resnet10", "cifar", 2};
  struct method_options o;
  const struct command command = {NULL, "", sizeof o, method_opts, NULL, NULL};
  TINY_OK(cli_parse(&command, sizeof argv / sizeof *argv, (char **)(uintptr_t)argv, &o));
  struct step *s;
  TINY_OK(step_open(
      &s, &(struct step_config){&model, &o, TINY_N, TINY_SIDE, TINY_SIDE, "ref", 1, TINY_THIRD, TINY_THIRD}));
  TINY_OK(graph_init(s->graph, 5));
  tiny_set_scales(s);
  return s;
}

static const char *const ones[N_TERMS] = {"1", "1", "1"};

static void make_batch(struct batch *b) {
  tiny_views(&b->views[0][0][0]);
  for (int i = 0; i < TINY_N; i++)
    for (int k = 0; k < TINY_THIRD_IMAGE; k++)
      b->third[i][k] = 2 * tiny_unit(3, (uint32_t)(i * TINY_THIRD_IMAGE + k)) - 1;
  for (int v = 0; v < 2; v++)
    for (int i = 0; i < TINY_N; i++)
      for (int k = 0; k < LABEL_COLUMNS; k++)
        b->labels[v][i][k] = (float)tiny_unit(4, (uint32_t)((v * TINY_N + i) * LABEL_COLUMNS + k)) - 0.5F;
}

static struct losses forward(struct step *s, const struct batch *b) {
  struct losses l;
  TINY_OK(graph_write_f64(s->graph, s->views, &b->views[0][0][0], TINY_VIEWS));
  if (s->third.id) TINY_OK(graph_write_f64(s->graph, s->third, b->third[0], TINY_N * TINY_THIRD_IMAGE));
  if (s->labels.id)
    TINY_OK(graph_write_f32(s->graph, s->labels, b->labels[0][0], 2 * TINY_N * LABEL_COLUMNS));
  TINY_OK(step_forward(s, &l));
  return l;
}

static struct batch batch, other;

/* Row r of every part of `other` is row from[r] of `batch`; with `swap`, the views change places. */
static void rearrange(const int from[TINY_N], bool swap) {
  for (int r = 0; r < TINY_N; r++) {
    memcpy(other.third[r], batch.third[from[r]], sizeof other.third[r]);
    for (int v = 0; v < 2; v++) {
      memcpy(other.views[v][r], batch.views[v ^ swap][from[r]], sizeof other.views[v][r]);
      memcpy(other.labels[v][r], batch.labels[v ^ swap][from[r]], sizeof other.labels[v][r]);
    }
  }
}

static bool same(double a, double b) { return fabs(a - b) <= 1e-11 * fmax(fabs(b), 1); }

static void the_loss_ignores_which_partner_view_or_pair_comes_first(void **state) {
  (void)state;
  static const struct {
    const char *what;
    int from[TINY_N];
    bool swap;
  } cases[] = {{"partners swapped", {1, 0, 3, 2, 5, 4, 7, 6}, false},
               {"views swapped", {0, 1, 2, 3, 4, 5, 6, 7}, true},
               {"pairs permuted", {4, 5, 0, 1, 6, 7, 2, 3}, false}};
  make_batch(&batch);
  for (int i = 0; i < N_BASES * N_METHODS; i++) {
    struct step *s = open_step(bases[i / N_METHODS], methods[i % N_METHODS], ones);
    struct losses a = forward(s, &batch);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
      rearrange(cases[c].from, cases[c].swap);
      struct losses b = forward(s, &other);
      if (!same(b.total, a.total))
        fail_msg("%s %s, %s: %.17g is not %.17g", s->base->name, s->method->name, cases[c].what, b.total,
                 a.total);
    }
    step_close(&s);
  }
}

/* Only STL looks at who belongs to whom. */
static void shifting_pair_boundaries_changes_stl_alone(void **state) {
  (void)state;
  static const int shifted[TINY_N] = {1, 2, 3, 4, 5, 6, 7, 0};
  make_batch(&batch);
  rearrange(shifted, false);
  for (int i = 0; i < N_BASES * N_METHODS; i++) {
    struct step *s = open_step(bases[i / N_METHODS], methods[i % N_METHODS], ones);
    struct losses a = forward(s, &batch), b = forward(s, &other);
    bool stl = strcmp(s->method->name, "stl") == 0;
    if (!same(b.term[TERM_INV], a.term[TERM_INV]) || same(b.term[TERM_EQUI], a.term[TERM_EQUI]) == stl ||
        same(b.term[TERM_TRANS], a.term[TERM_TRANS]) == stl)
      fail_msg("%s %s", s->base->name, s->method->name);
    step_close(&s);
  }
}

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Which modules exist when one term alone is learnt. NULL: the method has no such term. */
static const struct {
  const char *method, *term[N_TERMS];
} modules[N_METHODS] = {{"none", {"inv", NULL, NULL}},
                        {"essl", {"inv", "rotation_head", NULL}},
                        {"augself", {"inv", "crop_head color_head", NULL}},
                        {"sen", {NULL, "equi equi_transform", NULL}},
                        {"equimod", {"inv", "equi equi_transform", NULL}},
                        {"sie", {"inv", "equi equi_transform", NULL}},
                        {"stl", {"inv", "equi equi_transform trans_backbone", "trans trans_backbone"}}};

/* "inv" stands for inv_projector and inv_predictor. */
static bool belongs(const char *tensor, const char *list) {
  char module[64], full[96];
  for (const char *at = list; at; at = strchr(at, ' '), at = at ? at + 1 : NULL) {
    snprintf(module, sizeof module, "%.*s", (int)strcspn(at, " "), at);
    for (int k = 0; k < 3; k++) {
      snprintf(full, sizeof full, k == 0 ? "%s." : k == 1 ? "%s_projector." : "%s_predictor.", module);
      if (starts_with(tensor, full)) return true;
    }
  }
  return starts_with(tensor, "backbone.");
}

static void check_modules(struct step *s, const char *list) {
  const struct graph_tensor *t;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++) {
    bool target = starts_with(t[i].name, "target.");
    const char *name = target ? t[i].name + 7 : t[i].name;
    if (!belongs(name, list)) fail_msg("%s %s has %s", s->base->name, s->method->name, t[i].name);
    if (target && (strstr(name, "predictor") || starts_with(name, "equi_transform") || !s->target))
      fail_msg("%s %s has the target %s", s->base->name, s->method->name, t[i].name);
    if (t[i].trained != (graph_gradient(s->graph, t[i].value).id != 0))
      fail_msg("%s %s: %s and its gradient", s->base->name, s->method->name, t[i].name);
  }
}

static void a_zero_weight_leaves_its_branch_out(void **state) {
  (void)state;
  for (int i = 0; i < N_BASES * N_METHODS; i++)
    for (int term = 0; term < N_TERMS; term++) {
      const char *list = modules[i % N_METHODS].term[term];
      if (!list) continue;
      const char *const weight[N_TERMS] = {term == 0 ? "1" : "0", term == 1 ? "1" : "0",
                                           term == 2 ? "1" : "0"};
      struct step *s = open_step(bases[i / N_METHODS], methods[i % N_METHODS], weight);
      check_modules(s, list);
      for (int k = 0; k < N_TERMS; k++) assert_int_equal(s->loss[k].id != 0, k == term);
      step_close(&s);
    }
}

/* The gradient of every head under all terms is its gradient under the terms that use it. */
static void each_head_learns_from_its_own_term(void **state) {
  (void)state;
  make_batch(&batch);
  for (int i = 0; i < N_BASES * N_METHODS; i++) {
    struct step *all = open_step(bases[i / N_METHODS], methods[i % N_METHODS], ones);
    forward(all, &batch);
    TINY_OK(graph_backward(all->graph));
    for (int term = 0; term < N_TERMS; term++) {
      if (!modules[i % N_METHODS].term[term]) continue;
      const char *const weight[N_TERMS] = {term == 0 ? "1" : "0", term == 1 ? "1" : "0",
                                           term == 2 ? "1" : "0"};
      struct step *one = open_step(bases[i / N_METHODS], methods[i % N_METHODS], weight);
      forward(one, &batch);
      TINY_OK(graph_backward(one->graph));
      const struct graph_tensor *t;
      for (size_t k = 0, n = graph_tensors(one->graph, &t); k < n; k++) {
        if (!t[k].trained || starts_with(t[k].name, "backbone.") || starts_with(t[k].name, "trans_backbone."))
          continue;
        double a[512], b[512];
        int64_t count = shape_count(t[k].shape);
        assert_true(count <= 512 || starts_with(t[k].name, "equi_transform."));
        if (count > 512) continue;
        TINY_OK(graph_read_f64(one->graph, graph_gradient(one->graph, t[k].value), a, count));
        TINY_OK(graph_read_f64(all->graph, graph_gradient(all->graph, graph_find(all->graph, t[k].name)), b,
                               count));
        for (int64_t j = 0; j < count; j++)
          if (!(fabs(a[j] - b[j]) <= 1e-11))
            fail_msg("%s %s: %s", one->base->name, one->method->name, t[k].name);
      }
      step_close(&one);
    }
    step_close(&all);
  }
}

/* Calls per step of each module's BatchNorms; of those not named: 2. */
static const struct {
  const char *base, *method, *module;
  int calls;
} calls[] = {{"byol", "", "equi_projector", 2}, {"byol", "", "equi_predictor", 2},
             {"", "", "equi_projector", 4},     {"", "", "equi_predictor", 4},
             {"", "essl", "backbone", 3},       {"", "augself", "crop_head", 1},
             {"", "augself", "color_head", 1}};

static int calls_of(const struct step *s, const char *norm) {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if ((!*calls[i].base || strcmp(calls[i].base, s->base->name) == 0) &&
        (!*calls[i].method || strcmp(calls[i].method, s->method->name) == 0) &&
        starts_with(norm, calls[i].module))
      return calls[i].calls;
  return 2;
}

static void batch_norms_are_called_once_per_view_and_prediction(void **state) {
  (void)state;
  for (int i = 0; i < N_BASES * N_METHODS; i++) {
    struct step *s = open_step(bases[i / N_METHODS], methods[i % N_METHODS], ones);
    for (size_t k = 0; k < s->model->n_norms; k++) {
      const struct norm *n = &s->model->norms[k];
      if (n->calls_per_step != calls_of(s, n->name))
        fail_msg("%s %s: %s is called %d times, not %d", s->base->name, s->method->name, n->name,
                 n->calls_per_step, calls_of(s, n->name));
    }
    step_close(&s);
  }
}

static void targets_start_as_copies_and_follow_by_the_schedule(void **state) {
  (void)state;
  struct step *s = open_step("byol", "stl", ones);
  const double want[] = {0.996, 0.998};
  const void *own = base_own(s);
  for (int half = 0; half < 2; half++)
    assert_true(fabs(s->base->target_momentum(own, half * 100, 200) - want[half]) < 1e-12);
  struct updater *updater;
  make_batch(&batch);
  TINY_OK(step_optimiser(&updater, s, &(struct optimiser_options){0.1, 0.9, 0, true}));
  enum { COUNT = 12 * 16 };
  struct value online = graph_find(s->graph, "inv_projector.0.weight"),
               shadow = graph_find(s->graph, "target.inv_projector.0.weight");
  double xi[COUNT], moved[COUNT], now[COUNT];
  TINY_OK(graph_read_f64(s->graph, shadow, xi, COUNT));
  TINY_OK(graph_read_f64(s->graph, online, now, COUNT));
  assert_memory_equal(xi, now, sizeof xi);
  forward(s, &batch);
  TINY_OK(step_update(s, updater, &(struct pace){0.1, 0.1, 100, 200}));
  TINY_OK(graph_read_f64(s->graph, online, now, COUNT));
  TINY_OK(graph_read_f64(s->graph, shadow, moved, COUNT));
  for (int i = 0; i < COUNT; i++) {
    assert_true(now[i] != xi[i]);
    assert_true(fabs(moved[i] - (0.998 * xi[i] + 0.002 * now[i])) < 1e-12);
  }
  updater_close(&updater);
  step_close(&s);
}

static double first_of(const struct step *s, const char *name) {
  double all[256];
  struct value v = graph_find(s->graph, name);
  TINY_OK(graph_read_f64(s->graph, v, all, shape_count(graph_shape(s->graph, v))));
  return all[0];
}

/* One update of a base with STL at a learning rate; what the named parameters' first elements are before and after. */
static void move(const char *base, const struct optimiser_options *o, double lr, const char *const names[],
                 int n, double before[], double after[]) {
  struct step *s = open_step(base, "stl", ones);
  struct updater *updater;
  make_batch(&batch);
  TINY_OK(step_optimiser(&updater, s, o));
  forward(s, &batch);
  for (int k = 0; k < n; k++) before[k] = first_of(s, names[k]);
  TINY_OK(step_update(s, updater, &(struct pace){lr, o->lr, 0, 10}));
  for (int k = 0; k < n; k++) after[k] = first_of(s, names[k]);
  updater_close(&updater);
  step_close(&s);
}

static int rate_classes(const char *base) {
  static const char *const names[] = {"inv_projector.0.weight", "inv_predictor.3.bias",
                                      "trans_predictor.0.weight", "backbone.conv1.weight"};
  double before[4], after[4];
  int moved = 0;
  move(base, &(struct optimiser_options){0.1, 0, 0, true}, 0, names, 4, before, after);
  for (int k = 0; k < 4; k++) moved |= (after[k] != before[k]) << k;
  return moved;
}

/* At a scheduled rate of 0, SimSiam's predictors move on, and nothing else does. */
static void only_simsiams_predictors_keep_a_constant_rate(void **state) {
  (void)state;
  assert_int_equal(rate_classes("simsiam"), 2 | 4);
  assert_int_equal(rate_classes("byol"), 0);
}

static void weight_decay_spares_batch_norms_only_if_asked(void **state) {
  (void)state;
  static const char *const names[] = {"backbone.conv1.weight", "backbone.bn1.weight"};
  double before[2], all[2], spared[2];
  move("simclr", &(struct optimiser_options){0.1, 0, 0.5, true}, 0.1, names, 2, before, all);
  move("simclr", &(struct optimiser_options){0.1, 0, 0.5, false}, 0.1, names, 2, before, spared);
  assert_true(all[0] == spared[0]);
  assert_true(fabs(spared[1] - all[1] - 0.1 * 0.5 * before[1]) < 1e-12);
}

static enum status open_with(struct step **s, const char *const *argv, int argc, int64_t third) {
  struct model_options model = {"resnet10", "cifar", 1};
  struct method_options o;
  const struct command command = {NULL, "", sizeof o, method_opts, NULL, NULL};
  TINY_OK(cli_parse(&command, argc, (char **)(uintptr_t)argv, &o));
  return step_open(s, &(struct step_config){&model, &o, 4, 8, 8, "ref", 1, third, third});
}

static enum status open_bad(const char *const *argv, int argc, int64_t third) {
  struct step *s;
  enum status st = open_with(&s, argv, argc, third);
  step_close(&s);
  return st;
}

static void simsiams_projectors_end_with_a_batch_norm_if_asked(void **state) {
  (void)state;
  static const char *const argv[] = {"--method",    "simsiam", "--projector",           "6-4",
                                     "--predictor", "3-4",     "--simsiam-projector-bn"};
  for (int asked = 0; asked < 2; asked++) {
    struct step *s;
    TINY_OK(open_with(&s, argv, 6 + asked, 0));
    assert_int_equal(graph_find(s->graph, "inv_projector.4.weight").id != 0, asked);
    assert_int_equal(graph_find(s->graph, "inv_projector.4.running_var").id != 0, asked);
    step_close(&s);
  }
}

static void flags_that_make_no_sense_are_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *argv[6], *message;
  } cases[] = {{{"--predictor", "4-3"}, "--predictor: base simclr"},
               {{"--method", "essl"}, "needs a third view"},
               {{"--base", "byol", "--target-momentum", "1.5"}, "--target-momentum: 1.5"},
               {{"--base", "barlow", "--barlow-lambda", "-1"}, "--barlow-lambda: -1"},
               {{"--base", "barlow", "--barlow-scale", "0"}, "--barlow-scale: 0"},
               {{"--method", "augself", "--labels", "gray"}, "does not predict gray"},
               {{"--method", "augself", "--label-head", "9-"}, "--label-head: 9-"},
               {{"--method", "equimod", "--labels", "crop,"}, "--labels: 'crop,'"},
               {{"--method", "equimod", "--labels", "same"}, "--labels: 'same'"},
               {{"--base", "simsiam", "--predictor", "x"}, "--predictor: 'x'"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int argc = 0;
    while (argc < 6 && cases[i].argv[argc]) argc++;
    if (open_bad(cases[i].argv, argc, 0) != E_ARG || !strstr(fail_message(), cases[i].message))
      fail_msg("case %zu: %s", i, fail_message());
  }
  assert_int_equal(open_bad((const char *const[]){"--method", "essl", "--rotation-head", ""}, 4, 6), E_ARG);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_loss_ignores_which_partner_view_or_pair_comes_first),
      cmocka_unit_test(shifting_pair_boundaries_changes_stl_alone),
      cmocka_unit_test(a_zero_weight_leaves_its_branch_out),
      cmocka_unit_test(each_head_learns_from_its_own_term),
      cmocka_unit_test(batch_norms_are_called_once_per_view_and_prediction),
      cmocka_unit_test(targets_start_as_copies_and_follow_by_the_schedule),
      cmocka_unit_test(only_simsiams_predictors_keep_a_constant_rate),
      cmocka_unit_test(weight_decay_spares_batch_norms_only_if_asked),
      cmocka_unit_test(simsiams_projectors_end_with_a_batch_norm_if_asked),
      cmocka_unit_test(flags_that_make_no_sense_are_refused_by_name)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
