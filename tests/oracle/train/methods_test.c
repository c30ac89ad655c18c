/* Every base and method against PyTorch's numbers (make_methods.py): losses, every gradient, every parameter and
 * running statistic after two steps, on every backend; and against finite differences of its own loss. */
#include <math.h>

#include "oracle/oracle.h"
#include "train/step.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static const char *const cases[] = {"simclr-none",
                                    "simclr-augself",
                                    "simclr-equimod",
                                    "simclr-stl",
                                    "byol-none",
                                    "byol-augself",
                                    "byol-equimod",
                                    "byol-stl",
                                    "simsiam-none",
                                    "simsiam-augself",
                                    "simsiam-equimod",
                                    "simsiam-stl",
                                    "barlow-none",
                                    "barlow-augself",
                                    "barlow-equimod",
                                    "barlow-stl",
                                    "simclr-essl",
                                    "simclr-sen",
                                    "simclr-sie",
                                    "simclr-augself-crop-color-blur-flip",
                                    "barlow-equimod-crop-color-blur-flip-gray"};
enum { N_CASES = sizeof cases / sizeof *cases, N_IMAGES = 8 };

/* As in make_methods.py. */
static const struct pace pace = {0.01, 0.02, 1, 4};

struct oracle {
  struct safetensors *file;
  const char *name;
  struct step *step;
  struct updater *updater;
  char base[16], method[16], labels[64];
};

static const struct tensor_view *find(const struct oracle *o, const char *prefix, const char *name) {
  char full[128];
  snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", name);
  const struct tensor_view *t = safetensors_find(o->file, full);
  if (!t) fail_msg("the fixture has no %s", full);
  return t;
}

/* "simclr-augself-crop-color" */
static void read_name(struct oracle *o) {
  int end = 0;
  o->labels[0] = '\0';
  assert_int_equal(sscanf(o->name, "%15[^-]-%15[^-]%n", o->base, o->method, &end), 2);
  snprintf(o->labels, sizeof o->labels, "%s", o->name[end] ? o->name + end + 1 : "crop-color");
  for (char *c = o->labels; *c; c++)
    if (*c == '-') *c = ',';
}

static void parse_options(const struct oracle *o, struct method_options *out) {
  const bool predicts = strcmp(o->base, "byol") == 0 || strcmp(o->base, "simsiam") == 0;
  const char *const weights[][3] = {{"simclr-essl", "1", "0.4"},
                                    {"simclr-sie", "1", "0.7"},
                                    {"simclr-augself-", "0.5", "0.5"},
                                    {"barlow-equimod-", "1", "2"}};
  const char *inv = "1", *equi = "1";
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
    if (strncmp(o->name, weights[i][0], strlen(weights[i][0])) == 0)
      inv = weights[i][1], equi = weights[i][2];
  const char *const argv[] = {"--method",
                              o->method,
                              "--base",
                              o->base,
                              "--projector",
                              "10-4",
                              "--predictor",
                              predicts ? "8-4" : "auto",
                              "--trans-backbone",
                              "7-3",
                              "--trans-projector",
                              "9-4",
                              "--temperature",
                              "0.2",
                              "--inv",
                              inv,
                              "--equi",
                              equi,
                              "--trans",
                              "0.2",
                              "--labels",
                              o->labels,
                              "--rotation-head",
                              "6-5",
                              "--label-head",
                              "7",
                              "--target-momentum",
                              "0.9",
                              "--barlow-lambda",
                              "0.03",
                              "--barlow-scale",
                              "0.5"};
  const struct command command = {NULL, "", sizeof *out, method_opts, NULL, NULL};
  CHECK(cli_parse(&command, sizeof argv / sizeof *argv, (char **)(uintptr_t)argv, out));
}

/* --- The order of names --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct graph_tensor *)a)->name, ((const struct graph_tensor *)b)->name);
}

enum { MAX_TENSORS = 256 };

/* The step's tensors in the order of the fixture; with `gradients`, those that have one. */
static size_t sorted(const struct oracle *o, bool gradients, struct graph_tensor out[MAX_TENSORS]) {
  const struct graph_tensor *t;
  size_t n = graph_tensors(o->step->graph, &t), kept = 0;
  assert_true(n <= MAX_TENSORS);
  for (size_t i = 0; i < n; i++)
    if (!gradients || graph_gradient(o->step->graph, t[i].value).id) out[kept++] = t[i];
  // cppcheck-suppress uninitvar ; the loop fills it
  qsort(out, kept, sizeof *out, by_name);
  return kept;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

static void write_weights(struct oracle *o) {
  struct graph_tensor t[MAX_TENSORS];
  const struct tensor_view *w = find(o, o->name, "weights");
  const float *at = w->data;
  for (size_t i = 0, n = sorted(o, false, t); i < n; i++) {
    CHECK(graph_write_f32(o->step->graph, t[i].value, at, shape_count(t[i].shape)));
    at += shape_count(t[i].shape);
  }
  assert_int_equal((const char *)at - (const char *)w->data, w->size);
}

static void write_pair(const struct oracle *o, struct value to, const char *first, const char *second) {
  const struct tensor_view *a = find(o, "", first), *b = find(o, "", second);
  float *both = malloc(a->size + b->size);
  memcpy(both, a->data, a->size);
  memcpy((char *)both + a->size, b->data, b->size);
  CHECK(graph_write_f32(o->step->graph, to, both, (int64_t)((a->size + b->size) / sizeof(float))));
  free(both);
}

static void write_labels(const struct oracle *o) {
  float rows[2][N_IMAGES * LABEL_COLUMNS];
  labels_complete(rows[0], find(o, "", "label12")->data, N_IMAGES, LABEL_GIVEN);
  labels_complete(rows[1], find(o, "", "label21")->data, N_IMAGES, LABEL_GIVEN);
  CHECK(graph_write_f32(o->step->graph, o->step->labels, rows[0], 2 * N_IMAGES * LABEL_COLUMNS));
}

static void open_oracle(struct oracle *o, const char *name, const char *device) {
  struct model_options model = {"resnet10", "cifar", 1};
  struct method_options options;
  struct step_config config = {&model, &options, N_IMAGES, 8, 8, device, 2, 6, 6};
  *o = (struct oracle){.name = name, .file = oracle_open("train/methods.safetensors")};
  assert_non_null(o->file);
  read_name(o);
  parse_options(o, &options);
  CHECK(step_open(&o->step, &config));
  CHECK(step_optimiser(&o->updater, o->step, &(struct optimiser_options){0.01, 0.9, 5e-4, true}));
  write_weights(o);
  write_pair(o, o->step->views, "x1", "x2");
  if (o->step->labels.id) write_labels(o);
  if (!o->step->third.id) return;
  const struct tensor_view *x3 = find(o, "", "x3");
  CHECK(graph_write_f32(o->step->graph, o->step->third, x3->data, (int64_t)(x3->size / sizeof(float))));
}

static void close_oracle(struct oracle *o) {
  updater_close(&o->updater);
  step_close(&o->step);
  safetensors_close(&o->file);
}

/* --- Against PyTorch ------------------------------------------------------------------------------------ */

static double norm_of(const float *x, int64_t n) {
  double squares = 0;
  for (int64_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
  return sqrt(squares);
}

/* ||a - b|| / ||b||, with a floor under ||b||. */
static void assert_near(const struct oracle *o, const struct graph_tensor *t, struct value v,
                        const float *want, double floor, double tolerance) {
  int64_t n = shape_count(t->shape);
  double *a = malloc((size_t)n * sizeof *a), squares = 0;
  CHECK(graph_read_f64(o->step->graph, v, a, n));
  for (int64_t i = 0; i < n; i++) squares += (a[i] - want[i]) * (a[i] - want[i]);
  free(a);
  double size = fmax(norm_of(want, n), floor);
  if (!(sqrt(squares) <= tolerance * size))
    fail_msg("%s: %s of %s differs by %.3g of %.3g", o->name, v.id < 0 ? "the gradient" : "the value",
             t->name, sqrt(squares), size);
}

/* Before a BatchNorm gradients nearly cancel, and float32 keeps what is left of sums as large as the others: the
 * floor is a twentieth of all gradients' norm. */
static void compare_all(const struct oracle *o, bool gradients, double tolerance) {
  struct graph_tensor t[MAX_TENSORS];
  const struct tensor_view *want = find(o, o->name, gradients ? "grad" : "after");
  const float *at = want->data;
  const double floor = gradients ? 0.05 * norm_of(at, (int64_t)(want->size / sizeof *at)) : 1e-2;
  for (size_t i = 0, n = sorted(o, gradients, t); i < n; i++) {
    struct value v = gradients ? graph_gradient(o->step->graph, t[i].value) : t[i].value;
    assert_near(o, &t[i], v, at, floor, tolerance);
    at += shape_count(t[i].shape);
  }
  assert_int_equal((const char *)at - (const char *)want->data, want->size);
}

static void compare_losses(const struct oracle *o, int step, const struct losses *l, double tolerance) {
  const double *want = (const double *)find(o, o->name, "losses")->data + step * (1 + N_TERMS);
  const double have[1 + N_TERMS] = {l->total, l->term[0], l->term[1], l->term[2]};
  for (int k = 0; k <= N_TERMS; k++)
    if (!(fabs(have[k] - want[k]) <= tolerance * fmax(fabs(want[k]), 0.1)))
      fail_msg("%s: step %d: %s is %.12g, not %.12g", o->name, step + 1, k ? term_names[k - 1] : "total",
               have[k], want[k]);
}

static void two_steps_match(const char *name, const char *device, double loss_tolerance, double tolerance) {
  struct oracle o;
  open_oracle(&o, name, device);
  for (int i = 0; i < 2; i++) {
    struct losses l;
    CHECK(step_forward(o.step, &l));
    compare_losses(&o, i, &l, loss_tolerance);
    CHECK(step_update(o.step, o.updater, &pace));
    if (i == 0) compare_all(&o, true, tolerance);
  }
  compare_all(&o, false, tolerance);
  close_oracle(&o);
}

static void all_match_pytorch_on_ref(void **state) {
  (void)state;
  for (int i = 0; i < N_CASES; i++) two_steps_match(cases[i], "ref", 1e-9, 1e-6);
}

static void all_match_pytorch_on_cpu(void **state) {
  (void)state;
  for (int i = 0; i < N_CASES; i++) two_steps_match(cases[i], "cpu", 1e-4, 1e-3);
}

/* --- Against finite differences -------------------------------------------------------------------------- */

static double total_of(const struct oracle *o) {
  struct losses l;
  CHECK(step_forward(o->step, &l));
  return l.total;
}

/* The loss's derivative by element i of the parameter, whose values are x. */
static double slope(const struct oracle *o, const struct graph_tensor *t, double *x, int64_t i) {
  const double at = x[i], h = 1e-6;
  double total[2];
  for (int side = 0; side < 2; side++) {
    x[i] = at + (side ? h : -h);
    CHECK(graph_write_f64(o->step->graph, t->value, x, shape_count(t->shape)));
    total[side] = total_of(o);
  }
  x[i] = at;
  CHECK(graph_write_f64(o->step->graph, t->value, x, shape_count(t->shape)));
  return (total[1] - total[0]) / (2 * h);
}

static void check_parameter(const struct oracle *o, const struct graph_tensor *t) {
  int64_t n = shape_count(t->shape);
  double *x = malloc((size_t)n * sizeof *x), *g = malloc((size_t)n * sizeof *g), scale = 0;
  total_of(o);
  CHECK(graph_backward(o->step->graph));
  CHECK(graph_read_f64(o->step->graph, t->value, x, n));
  CHECK(graph_read_f64(o->step->graph, graph_gradient(o->step->graph, t->value), g, n));
  for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(g[i]));
  for (int64_t i = 0; i < n; i += n / 2 + 1) {
    double want = slope(o, t, x, i);
    if (!(fabs(g[i] - want) <= 1e-6 * fmax(scale, 1e-1)))
      fail_msg("%s: %s[%lld]: %.9g, by differences %.9g", o->name, t->name, (long long)i, g[i], want);
  }
  free(x);
  free(g);
}

/* A stopped gradient is not the loss's derivative: of SimSiam only the predictors, which no target passes, and the
 * heads of auxiliary losses can be compared; the next test has the rest. */
static bool is_derivative(const struct oracle *o, const char *name) {
  return strcmp(o->base, "simsiam") != 0 || strstr(name, "_predictor.") || strstr(name, "_head.");
}

static void gradients_are_finite_differences(void **state) {
  (void)state;
  for (int c = 0; c < N_CASES; c++) {
    struct oracle o;
    struct graph_tensor t[MAX_TENSORS];
    open_oracle(&o, cases[c], "ref");
    size_t n = sorted(&o, true, t), checked = 0;
    for (size_t i = 0; i < n; i++)
      if (is_derivative(&o, t[i].name)) check_parameter(&o, &t[i]), checked++;
    assert_true(checked > 0);
    close_oracle(&o);
  }
}

/* Gives BYOL SimSiam's weights, and its targets the networks themselves. */
static void imitate(const struct oracle *byol, const struct oracle *simsiam) {
  struct graph_tensor t[MAX_TENSORS];
  for (size_t i = 0, n = sorted(byol, false, t); i < n; i++) {
    const char *name = strncmp(t[i].name, "target.", 7) == 0 ? t[i].name + 7 : t[i].name;
    struct value from = graph_find(simsiam->step->graph, name);
    int64_t count = shape_count(t[i].shape);
    double *x = calloc((size_t)count, sizeof *x);
    /* SimSiam's projectors end without bias. */
    if (from.id) CHECK(graph_read_f64(simsiam->step->graph, from, x, count));
    CHECK(graph_write_f64(byol->step->graph, t[i].value, x, count));
    free(x);
  }
}

/* 4 - 4 cos against -cos, the targets equal: BYOL's gradient, which is a derivative, is four times SimSiam's. The
 * methods whose comparisons have the same directions under both bases. */
static void simsiam_is_byol_with_itself_as_target(void **state) {
  (void)state;
  struct oracle byol, simsiam;
  struct graph_tensor t[MAX_TENSORS];
  open_oracle(&byol, "byol-none", "ref");
  open_oracle(&simsiam, "simsiam-none", "ref");
  imitate(&byol, &simsiam);
  assert_true(fabs(total_of(&byol) - (4 + 4 * total_of(&simsiam))) < 1e-12);
  CHECK(graph_backward(byol.step->graph));
  CHECK(graph_backward(simsiam.step->graph));
  for (size_t i = 0, n = sorted(&simsiam, true, t); i < n; i++) {
    int64_t count = shape_count(t[i].shape);
    double *a = malloc((size_t)count * sizeof *a), *b = malloc((size_t)count * sizeof *b);
    struct value g = graph_gradient(byol.step->graph, graph_find(byol.step->graph, t[i].name));
    CHECK(graph_read_f64(simsiam.step->graph, graph_gradient(simsiam.step->graph, t[i].value), a, count));
    CHECK(graph_read_f64(byol.step->graph, g, b, count));
    for (int64_t k = 0; k < count; k++)
      if (!(fabs(4 * a[k] - b[k]) < 1e-10))
        fail_msg("%s[%lld]: 4 x %g is not %g", t[i].name, (long long)k, a[k], b[k]);
    free(a);
    free(b);
  }
  close_oracle(&byol);
  close_oracle(&simsiam);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_match_pytorch_on_ref),
                                     cmocka_unit_test(all_match_pytorch_on_cpu),
                                     cmocka_unit_test(gradients_are_finite_differences),
                                     cmocka_unit_test(simsiam_is_byol_with_itself_as_target)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
