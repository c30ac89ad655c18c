/* Two steps of STL against PyTorch's numbers (make_stl.py): losses, every gradient, every parameter and
 * running statistic, on every backend. */
#include <math.h>

#include "backends.h"
#include "oracle/oracle.h"
#include "train/step.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static struct safetensors *open_fixture(void) {
  struct safetensors *file = oracle_open("train/stl.safetensors");
  assert_non_null(file);
  return file;
}

static const struct tensor_view *find(const struct safetensors *file, const char *prefix, const char *name) {
  char full[256];
  snprintf(full, sizeof full, "%s%s", prefix, name);
  const struct tensor_view *t = safetensors_find(file, full);
  if (!t) fail_msg("the fixture has no %s", full);
  return t;
}

/* A backend, and how far it may be from PyTorch's float64. */
struct target {
  const char *device;
  double loss, tensor;
  enum precision precision;
};

/* NULL where the machine has no such device, or it lacks a kernel, which is said. */
static struct step *open_step(const struct safetensors *file, const char *method, const struct target *on) {
  const struct tensor_view *x1 = find(file, "", "x1"), *x2 = find(file, "", "x2");
  struct model_options model = {"resnet10", "imagenet",
                                find(file, "weights.", "backbone.conv1.weight")->shape[0]};
  struct method_options o = {method, NULL, "12-8", "10-6", "10-5", 0.2, {1, 1, 0.2}};
  struct step_config config = {
      &model, &o, x1->shape[0], x1->shape[2], x1->shape[3], on->device, 2, .precision = on->precision};
  struct step *s;
  enum status st = step_open(&s, &config);
  if (st == E_DEVICE) print_message("%s\n", fail_message());
  if (st == E_DEVICE) return NULL;
  CHECK(st);
  const struct graph_tensor *t;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++) {
    const struct tensor_view *w = find(file, "weights.", t[i].name);
    CHECK(graph_write_f32(s->graph, t[i].value, w->data, (int64_t)(w->size / sizeof(float))));
  }
  float *views = malloc(2 * x1->size);
  memcpy(views, x1->data, x1->size);
  memcpy((char *)views + x1->size, x2->data, x2->size);
  CHECK(graph_write_f32(s->graph, s->views, views, (int64_t)(2 * x1->size / sizeof(float))));
  free(views);
  return s;
}

static bool is_close(double a, double b, double tolerance) { return fabs(a - b) <= tolerance * fabs(b); }

static void assert_loss(const char *name, int step, double a, double b, double tolerance) {
  if (!is_close(a, b, tolerance)) fail_msg("step %d: %s is %.9g, not %.9g", step + 1, name, a, b);
}

/* ||a - b|| / ||b||. Some gradients before a BatchNorm are zero but for rounding; those are compared with
 * 0.01. */
static void assert_near(struct step *s, struct value v, const struct tensor_view *want, double tolerance) {
  int64_t n = shape_count(graph_shape(s->graph, v));
  const float *b = want->data;
  double *a = malloc((size_t)n * sizeof *a), difference = 0, norm = 0, largest = 0;
  assert_int_equal(n, want->size / sizeof(float));
  CHECK(graph_read_f64(s->graph, v, a, n));
  for (int64_t i = 0; i < n; i++) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += (double)b[i] * b[i];
    largest = fmax(largest, fabs((double)b[i]));
  }
  free(a);
  double size = largest >= 1e-6 ? sqrt(norm) : 0.01;
  if (!(sqrt(difference) <= tolerance * size))
    fail_msg("%s differs by %.3g of %.3g", want->name, sqrt(difference), size);
}

static void compare_all(struct step *s, const struct safetensors *file, bool gradients, double tolerance) {
  const struct graph_tensor *t;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++) {
    if (gradients && !t[i].trained) continue;
    struct value v = gradients ? graph_gradient(s->graph, t[i].value) : t[i].value;
    assert_near(s, v, find(file, gradients ? "grad." : "after.", t[i].name), tolerance);
  }
}

static void two_steps_match(const struct target *on) {
  struct safetensors *file = open_fixture();
  struct step *s = open_step(file, "stl", on);
  struct updater *updater;
  const double *want = find(file, "", "losses")->data;
  if (!s) {
    safetensors_close(&file);
    skip();
    return; /* skip() does not come back */
  }
  CHECK(updater_open(&updater, s->graph, &(struct optimiser_config){0.9, 5e-4}));
  for (int i = 0; i < 2; i++, want += 4) {
    struct losses l;
    CHECK(step_forward(s, &l));
    assert_loss("total", i, l.total, want[0], on->loss);
    for (int k = 0; k < N_TERMS; k++) assert_loss(term_names[k], i, l.term[k], want[1 + k], on->loss);
    CHECK(step_update(s, updater, &(struct pace){0.01, 0.01, 0, 1}));
    if (i == 0) compare_all(s, file, true, on->tensor);
  }
  compare_all(s, file, false, on->tensor);
  updater_close(&updater);
  step_close(&s);
  safetensors_close(&file);
}

static const struct target on_ref = {"ref", 1e-10, 1e-6, PRECISION_F32};

static void stl_matches_pytorch_on_ref(void **state) {
  (void)state;
  two_steps_match(&on_ref);
}

static void stl_matches_pytorch_on_cpu(void **state) {
  (void)state;
  two_steps_match(&(struct target){"cpu", 1e-4, 1e-3, PRECISION_F32});
}

static void stl_matches_pytorch_on_cuda(void **state) {
  (void)state;
  two_steps_match(&(struct target){"cuda", 1e-4, 1e-3, PRECISION_F32});
}

/* ||a - b|| / ||b|| of all gradients together. */
static double gradient_distance(struct step *s, const struct safetensors *file) {
  const struct graph_tensor *t;
  double difference = 0, norm = 0;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++) {
    if (!t[i].trained) continue;
    const float *b = find(file, "grad.", t[i].name)->data;
    int64_t count = shape_count(t[i].shape);
    double *a = malloc((size_t)count * sizeof *a);
    CHECK(graph_read_f64(s->graph, graph_gradient(s->graph, t[i].value), a, count));
    for (int64_t k = 0; k < count; k++) {
      difference += (a[k] - b[k]) * (a[k] - b[k]);
      norm += (double)b[k] * b[k];
    }
    free(a);
  }
  return sqrt(difference / norm);
}

/* The farthest of the four losses, relative. */
static double loss_distance(const struct losses *l, const double *want) {
  double farthest = fabs(l->total - want[0]) / fabs(want[0]);
  for (int k = 0; k < N_TERMS; k++)
    farthest = fmax(farthest, fabs(l->term[k] - want[1 + k]) / fabs(want[1 + k]));
  return farthest;
}

/* What autocast costs is in the fixture: losses, gradients. */
static void bf16_on_cuda_costs_what_autocast_does(void **state) {
  (void)state;
  struct safetensors *file = open_fixture();
  struct step *s = open_step(file, "stl", &(struct target){.device = "cuda", .precision = PRECISION_BF16});
  const double *autocast = find(file, "", "autocast")->data;
  struct losses l;
  if (!s) {
    safetensors_close(&file);
    skip();
    return; /* skip() does not come back */
  }
  CHECK(step_forward(s, &l));
  CHECK(graph_backward(s->graph));
  double loss = loss_distance(&l, find(file, "", "losses")->data), gradient = gradient_distance(s, file);
  print_message("bf16 on cuda: losses %.3g, gradients %.3g from float64; PyTorch's autocast: %.3g, %.3g\n",
                loss, gradient, autocast[0], autocast[1]);
  assert_true(loss <= 1.5 * autocast[0]);
  assert_true(gradient <= 1.5 * autocast[1]);
  step_close(&s);
  safetensors_close(&file);
}

static void simclr_alone_is_stls_first_term(void **state) {
  (void)state;
  struct safetensors *file = open_fixture();
  struct step *s = open_step(file, "simclr", &on_ref);
  struct losses l;
  assert_non_null(s);
  CHECK(step_forward(s, &l));
  assert_true(is_close(l.total, ((const double *)find(file, "", "losses")->data)[1], 1e-10));
  step_close(&s);
  safetensors_close(&file);
}

int main(void) {
  const struct CMUnitTest on_any[] = {cmocka_unit_test(stl_matches_pytorch_on_ref),
                                      cmocka_unit_test(simclr_alone_is_stls_first_term)};
  const struct CMUnitTest on_cpu[] = {cmocka_unit_test(stl_matches_pytorch_on_cpu)};
  const struct CMUnitTest on_cuda[] = {cmocka_unit_test(stl_matches_pytorch_on_cuda),
                                       cmocka_unit_test(bf16_on_cuda_costs_what_autocast_does)};
  int failed = cmocka_run_group_tests(on_any, NULL, NULL);
  if (has_backend("cpu")) failed += cmocka_run_group_tests(on_cpu, NULL, NULL);
  if (has_backend("cuda")) failed += cmocka_run_group_tests(on_cuda, NULL, NULL);
  return failed;
}
