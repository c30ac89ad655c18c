/* Every base and method against PyTorch's numbers (make_methods.py): losses, every gradient, every parameter and
 * running statistic after two steps, on every backend; and against finite differences of its own loss. */
#include <math.h>

#include "backends.h"
#include "oracle/oracle.h"
#include "train/step.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

/* As in make_methods.py. What is NULL: labels crop,color; weights 1. */
struct oracle_case {
  const char *name; /* BASE-METHOD, and what is particular */
  const char *labels, *inv, *equi;
  bool projector_bn;
};
static const struct oracle_case cases[] = {
    {"simclr-none"},
    {"simclr-augself"},
    {"simclr-equimod"},
    {"simclr-stl"},
    {"byol-none"},
    {"byol-augself"},
    {"byol-equimod"},
    {"byol-stl"},
    {"simsiam-none"},
    {"simsiam-augself"},
    {"simsiam-equimod"},
    {"simsiam-stl"},
    {"barlow-none"},
    {"barlow-augself"},
    {"barlow-equimod"},
    {"barlow-stl"},
    {"simclr-essl", .equi = "0.4"},
    {"simclr-sen"},
    {"simclr-sie", .equi = "0.7"},
    {"byol-essl", .equi = "0.4"},
    {"byol-sen"},
    {"byol-sie", .equi = "0.7"},
    {"simsiam-essl", .equi = "0.4"},
    {"simsiam-sen"},
    {"simsiam-sie", .equi = "0.7"},
    {"barlow-essl", .equi = "0.4"},
    {"barlow-sen"},
    {"barlow-sie", .equi = "0.7"},
    {"simclr-augself-crop-color-blur-flip", .labels = "crop,color,blur,flip", .inv = "0.5", .equi = "0.5"},
    {"barlow-equimod-crop-color-blur-flip-gray", .labels = "crop,color,blur,flip,gray", .equi = "2"},
    {"simsiam-stl-bn", .projector_bn = true}};
enum { N_CASES = sizeof cases / sizeof *cases, N_IMAGES = 8 };

static const struct pace pace = {0.01, 0.02, 1, 4};

struct oracle {
  struct safetensors *file;
  const char *name;
  struct step *step;
  struct updater *updater;
};

static const struct tensor_view *find(const struct oracle *o, const char *prefix, const char *name) {
  char full[128];
  snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", name);
  const struct tensor_view *t = safetensors_find(o->file, full);
  if (!t) fail_msg("the fixture has no %s", full);
  return t;
}

static const char *or_else(const char *text, const char *otherwise) { return text ? text : otherwise; }

/* The names, which the options borrow, are the case's: BASE-METHOD[-VARIANT]. */
struct case_names {
  char base[16], method[16];
};

static void parse_options(const struct oracle_case *c, struct case_names *names, struct method_options *out) {
  char *base = names->base, *method = names->method;
  assert_int_equal(sscanf(c->name, "%15[^-]-%15[^-]", base, method), 2);
  const bool predicts = strcmp(base, "byol") == 0 || strcmp(base, "simsiam") == 0;
  const char *const argv[] = {"--method",
                              method,
                              "--base",
                              base,
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
                              or_else(c->inv, "1"),
                              "--equi",
                              or_else(c->equi, "1"),
                              "--trans",
                              "0.2",
                              "--labels",
                              or_else(c->labels, "crop,color"),
                              "--rotation-head",
                              "6-5",
                              "--label-head",
                              "7",
                              "--target-momentum",
                              "0.9",
                              "--barlow-lambda",
                              "0.03",
                              "--barlow-scale",
                              "0.5",
                              c->projector_bn ? "--simsiam-projector-bn" : "--no-simsiam-projector-bn"};
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

/* False where the machine has no such device, or it lacks a kernel, which is said. */
static bool open_oracle(struct oracle *o, const struct oracle_case *c, const char *device) {
  struct model_options model = {"resnet10", "cifar", 1};
  struct case_names names;
  struct method_options options;
  struct step_config config = {&model, &options, N_IMAGES, 8, 8, device, 2, 6, 6};
  *o = (struct oracle){.name = c->name, .file = oracle_open("train/methods.safetensors")};
  assert_non_null(o->file);
  parse_options(c, &names, &options);
  enum status st = step_open(&o->step, &config);
  if (st == E_DEVICE) {
    print_message("%s: %s\n", c->name, fail_message());
    safetensors_close(&o->file);
    return false;
  }
  CHECK(st);
  CHECK(step_optimiser(&o->updater, o->step, &(struct optimiser_options){0.01, 0.9, 5e-4, true}));
  write_weights(o);
  write_pair(o, o->step->views, "x1", "x2");
  if (o->step->labels.id) write_labels(o);
  if (!o->step->third.id) return true;
  const struct tensor_view *x3 = find(o, "", "x3");
  CHECK(graph_write_f32(o->step->graph, o->step->third, x3->data, (int64_t)(x3->size / sizeof(float))));
  return true;
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

/* False: not computed, for want of a device or a kernel. */
static bool two_steps_match(const struct oracle_case *c, const char *device, double loss_tolerance,
                            double tolerance) {
  struct oracle o;
  if (!open_oracle(&o, c, device)) return false;
  for (int i = 0; i < 2; i++) {
    struct losses l;
    CHECK(step_forward(o.step, &l));
    compare_losses(&o, i, &l, loss_tolerance);
    CHECK(step_update(o.step, o.updater, &pace));
    if (i == 0) compare_all(&o, true, tolerance);
  }
  compare_all(&o, false, tolerance);
  close_oracle(&o);
  return true;
}

static void all_match(const char *device, double loss_tolerance, double tolerance) {
  int lacking = 0;
  for (int i = 0; i < N_CASES; i++) lacking += !two_steps_match(&cases[i], device, loss_tolerance, tolerance);
  if (lacking) skip();
}

static void all_match_pytorch_on_ref(void **state) {
  (void)state;
  all_match("ref", 1e-9, 1e-6);
}

static void all_match_pytorch_on_cpu(void **state) {
  (void)state;
  all_match("cpu", 1e-4, 1e-3);
}

static void all_match_pytorch_on_cuda(void **state) {
  (void)state;
  all_match("cuda", 1e-4, 1e-3);
}

/* --- Against finite differences -------------------------------------------------------------------------- */

static double total_of(const struct oracle *o) {
  struct losses l;
  CHECK(step_forward(o->step, &l));
  return l.total;
}

/* Element i of n of a direction in which every element counts. */
static double along(int64_t i, int64_t n) { return cos((double)(i * i + 1)) / sqrt((double)n); }

/* Moves the parameter, whose values are x, by h along it. */
static void move(const struct oracle *o, const struct graph_tensor *t, const double *x, double h) {
  int64_t n = shape_count(t->shape);
  double *at = malloc((size_t)n * sizeof *at);
  for (int64_t i = 0; i < n; i++) at[i] = x[i] + h * along(i, n);
  CHECK(graph_write_f64(o->step->graph, t->value, at, n));
  free(at);
}

static double total_at(const struct oracle *o, const struct graph_tensor *t, const double *x, double h) {
  move(o, t, x, h);
  return total_of(o);
}

/* The gradients of graph_backward against the loss's slope along that direction. */
static void check_parameter(const struct oracle *o, const struct graph_tensor *t) {
  const int64_t n = shape_count(t->shape);
  const double h = 1e-6;
  double *x = malloc((size_t)n * sizeof *x), *g = malloc((size_t)n * sizeof *g), squares = 0, got = 0;
  CHECK(graph_read_f64(o->step->graph, t->value, x, n));
  CHECK(graph_read_f64(o->step->graph, graph_gradient(o->step->graph, t->value), g, n));
  for (int64_t i = 0; i < n; i++) {
    got += g[i] * along(i, n);
    squares += g[i] * g[i];
  }
  double want = (total_at(o, t, x, h) - total_at(o, t, x, -h)) / (2 * h);
  if (!(fabs(got - want) <= 1e-6 * fmax(sqrt(squares), 1e-1)))
    fail_msg("%s: %s: %.9g, by differences %.9g", o->name, t->name, got, want);
  move(o, t, x, 0);
  free(x);
  free(g);
}

/* A stopped gradient is not the loss's derivative: of SimSiam only the predictors, which no target passes, and the
 * heads of auxiliary losses can be compared; the next test and PyTorch's numbers have the rest. */
static bool is_derivative(const struct oracle *o, const char *name) {
  return strcmp(o->step->base->name, "simsiam") != 0 || strstr(name, "_predictor.") || strstr(name, "_head.");
}

static void gradients_are_finite_differences(void **state) {
  (void)state;
  for (int c = 0; c < N_CASES; c++) {
    struct oracle o;
    struct graph_tensor t[MAX_TENSORS];
    open_oracle(&o, &cases[c], "ref");
    size_t n = sorted(&o, true, t), checked = 0;
    total_of(&o);
    CHECK(graph_backward(o.step->graph));
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

/* 4 - 4 cos against -cos, the targets equal: BYOL's gradient, which is a derivative, is four times SimSiam's, so
 * a quarter of its term has SimSiam's. The methods whose comparisons have the same directions under both bases. */
static void compare_with_byol(const char *method, const char *equi) {
  struct oracle byol, simsiam;
  struct graph_tensor t[MAX_TENSORS];
  char names[2][32];
  snprintf(names[0], sizeof names[0], "byol-%s", method);
  snprintf(names[1], sizeof names[1], "simsiam-%s", method);
  open_oracle(&byol, &(struct oracle_case){names[0], .inv = "0.25", .equi = equi}, "ref");
  open_oracle(&simsiam, &(struct oracle_case){names[1], .equi = equi}, "ref");
  imitate(&byol, &simsiam);
  assert_true(fabs(total_of(&byol) - (1 + total_of(&simsiam))) < 1e-12);
  CHECK(graph_backward(byol.step->graph));
  CHECK(graph_backward(simsiam.step->graph));
  for (size_t i = 0, n = sorted(&simsiam, true, t); i < n; i++) {
    int64_t count = shape_count(t[i].shape);
    double *a = malloc((size_t)count * sizeof *a), *b = malloc((size_t)count * sizeof *b);
    struct value g = graph_gradient(byol.step->graph, graph_find(byol.step->graph, t[i].name));
    CHECK(graph_read_f64(simsiam.step->graph, graph_gradient(simsiam.step->graph, t[i].value), a, count));
    CHECK(graph_read_f64(byol.step->graph, g, b, count));
    for (int64_t k = 0; k < count; k++)
      if (!(fabs(a[k] - b[k]) < 1e-10))
        fail_msg("%s, %s[%lld]: %g is not %g", method, t[i].name, (long long)k, a[k], b[k]);
    free(a);
    free(b);
  }
  close_oracle(&byol);
  close_oracle(&simsiam);
}

static void simsiam_is_byol_with_itself_as_target(void **state) {
  (void)state;
  compare_with_byol("none", NULL);
  compare_with_byol("augself", NULL);
  compare_with_byol("essl", "0.4");
}

int main(void) {
  const struct CMUnitTest on_any[] = {cmocka_unit_test(all_match_pytorch_on_ref),
                                      cmocka_unit_test(gradients_are_finite_differences),
                                      cmocka_unit_test(simsiam_is_byol_with_itself_as_target)};
  const struct CMUnitTest on_cpu[] = {cmocka_unit_test(all_match_pytorch_on_cpu)};
  const struct CMUnitTest on_cuda[] = {cmocka_unit_test(all_match_pytorch_on_cuda)};
  int failed = cmocka_run_group_tests(on_any, NULL, NULL);
  if (has_backend("cpu")) failed += cmocka_run_group_tests(on_cpu, NULL, NULL);
  if (has_backend("cuda")) failed += cmocka_run_group_tests(on_cuda, NULL, NULL);
  return failed;
}
