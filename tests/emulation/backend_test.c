/* The cuda backend around its kernels: what a machine lacks, images on their way, memory. */
#include <math.h>

#include "nn/engine.h"
#include "nn/relu/relu.h"
#include "nn/softmax_regression/softmax_regression.h"
#include "test.h"

#include "emulation.h"

#define OK_OR_FAIL(expr)                                                                                     \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static const struct emulation_machine sound = {1, CUDART_VERSION, 90, (size_t)4 << 30};

static int restore(void **state) {
  (void)state;
  emulation_set_machine(sound);
  return 0;
}

static void what_is_missing_is_one_line(void **state) {
  (void)state;
  static const struct {
    struct emulation_machine machine;
    const char *device;
    enum status status;
    const char *message;
    bool plan_only;
  } cases[] = {
      {{1, 0, 90, 0},
       "cuda",
       E_DEVICE,
       "cuda: no NVIDIA driver (libcuda.so.1) on this machine; --device cpu needs none"},
      {{1, 12020, 90, 0},
       "cuda",
       E_DEVICE,
       "cuda: the NVIDIA driver supports CUDA 12.2, this build needs 13.0; update the driver"},
      {{0, 13000, 90, 0},
       "cuda",
       E_DEVICE,
       "cuda: the driver finds no GPU; see nvidia-smi and CUDA_VISIBLE_DEVICES"},
      {{2, 13000, 90, 0}, "cuda:2", E_DEVICE, "--device cuda:2: this machine has 2 GPUs, counted from 0"},
      {{1, 13000, 75, 0}, "cuda", E_DEVICE, "cuda:0 has compute capability 7.5; at least 8.0 is needed"},
      {{1, 13000, 90, 0}, "cuda:", E_ARG, "--device cuda:: after the colon comes a number from 0"},
      {{1, 13000, 90, 0}, "cuda:-1", E_ARG, "--device cuda:-1: after the colon comes a number from 0"},
      {{1, 13000, 90, 0}, "cuda:h200", E_ARG, "--device cuda:h200: after the colon comes a number from 0"},
      {{1, 0, 90, 0},
       "cuda:0",
       E_DEVICE,
       "cuda: no NVIDIA driver (libcuda.so.1) on this machine; --device cpu needs none",
       true},
      {{1, 12020, 90, 0},
       "cuda",
       E_DEVICE,
       "cuda: the NVIDIA driver supports CUDA 12.2, this build needs 13.0; update the driver",
       true},
      {{0, 0, 0, 0},
       "cuda:x",
       E_ARG,
       "--device cuda:x: after the colon comes a number from 0, or h200 or a100, which need not be there",
       true},
      {{1, 13000, 90, 0}, "cuda:0x", E_ARG, "--device cuda:0x: after the colon comes a number from 0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct graph *g = NULL;
    emulation_set_machine(cases[i].machine);
    assert_int_equal(
        graph_open(&g, &(struct graph_config){.device = cases[i].device, .plan_only = cases[i].plan_only}),
        cases[i].status);
    assert_null(g);
    assert_string_equal(fail_message(), cases[i].message);
  }
}

static struct graph *images(const char *device, enum precision precision, int64_t n, struct value *x,
                            struct value *y) {
  struct graph *g = NULL;
  OK_OR_FAIL(graph_open(
      &g, &(struct graph_config){.device = device, .mode = GRAPH_FORWARD, .precision = precision}));
  *x = graph_input(g, "x", shape_4(n, 3, 2, 3));
  *y = relu(g, *x);
  graph_output(g, "y", *y);
  return g;
}

static void too_little_memory_names_the_flag(void **state) {
  (void)state;
  struct emulation_machine small = sound;
  small.memory = 4 << 20; /* 1 MiB of which goes to arguments */
  emulation_set_machine(small);
  struct value x, y;
  struct graph *g =
      images("cuda", PRECISION_F32, 20000, &x, &y); /* 20000 * 6 pixels * 8 channels * 4 bytes */
  assert_int_equal(graph_plan(g, (struct value){0}), E_MEMORY);
  assert_string_equal(
      fail_message(),
      "cuda: 4 MiB are needed in one piece for tensors, 3 of the GPU's 4 MiB are free; use a smaller "
      "--batch or --width");
  graph_close(&g);
}

enum { N = 5, PIXELS = N * 6, STEPS = 5 };

/* More batches than the ring has slots, written without waiting for a step; each is read in its turn. */
static void images_arrive_normalised_and_in_order(void **state) {
  const enum precision precision = *(enum precision *)*state;
  const double mean[3] = {0.5, 0.4, 0.3}, std[3] = {0.2, 0.25, 0.3};
  struct value x, y, x_ref, y_ref;
  struct graph *g = images("cuda", precision, N, &x, &y),
               *ref = images("ref", PRECISION_F32, N, &x_ref, &y_ref);
  OK_OR_FAIL(graph_plan(g, (struct value){0}));
  OK_OR_FAIL(graph_plan(ref, (struct value){0}));
  for (int step = 0; step < STEPS; step++) {
    uint8_t pixels[PIXELS * 3];
    double got[PIXELS * 3], want[PIXELS * 3];
    for (int i = 0; i < PIXELS * 3; i++) pixels[i] = (uint8_t)(i * 37 + step * 11);
    OK_OR_FAIL(graph_write_pixels(g, x, pixels, mean, std));
    OK_OR_FAIL(graph_write_pixels(ref, x_ref, pixels, mean, std));
    memset(pixels, 0, sizeof pixels); /* theirs no more */
    OK_OR_FAIL(graph_forward(g));
    OK_OR_FAIL(graph_forward(ref));
    if (step % 3 == 1) continue; /* a step that nobody waits for */
    OK_OR_FAIL(graph_read_f64(g, y, got, PIXELS * 3));
    OK_OR_FAIL(graph_read_f64(ref, y_ref, want, PIXELS * 3));
    for (int i = 0; i < PIXELS * 3; i++) {
      if (!(fabs(got[i] - want[i]) <=
            fabs(want[i]) * (precision == PRECISION_BF16 ? 1.0 / 256 : 1e-5) + 1e-6))
        fail_msg("step %d, number %d: %g, not %g", step, i, got[i], want[i]);
    }
  }
  graph_close(&g);
  graph_close(&ref);
}

static void features_that_do_not_fit_are_one_line(void **state) {
  (void)state;
  enum { ROWS = 5000, DIM = 64 };
  static float x[ROWS * DIM];
  static int32_t y[ROWS];
  const struct samples samples = {x, y, ROWS, DIM, 2};
  const struct softmax_regression_config config = {"cuda", 1, DIM, 2, ROWS};
  struct softmax_regression *r = NULL;
  struct sample_set *set = NULL;
  struct emulation_machine small = sound;
  small.memory = 4 << 20; /* 1 MiB for arguments, 2.25 for rows in float64, 1.2 for the features */
  emulation_set_machine(small);
  OK_OR_FAIL(softmax_regression_open(&r, &config));
  assert_int_equal(softmax_regression_load(&set, r, &samples), E_MEMORY);
  assert_string_equal(
      fail_message(),
      "the features of 5000 images: cuda: 2 MiB are needed in one piece for linear evaluation, 0 "
      "of the GPU's 4 MiB are free; --device cpu needs none");
  assert_null(set);
  softmax_regression_close(&r);
  small.memory = 2 << 20;
  emulation_set_machine(small);
  assert_int_equal(softmax_regression_open(&r, &config), E_MEMORY);
  assert_string_equal(fail_message(),
                      "cuda: 3 MiB are needed in one piece for linear evaluation, 1 of the GPU's 2 MiB "
                      "are free; --device cpu needs none");
  assert_null(r);
}

/* Another GPU is chosen on this thread between two calls. */
static void a_classifier_stays_on_its_gpu(void **state) {
  (void)state;
  static const float x[6] = {1, 2, 3, 4, 5, 6};
  static const int32_t y[3] = {0, 1, 0};
  const struct samples samples = {x, y, 3, 2, 2};
  const double theta[6] = {0.5, -0.25, 0.125, 1, 0.75, -1};
  struct emulation_machine two = sound;
  two.devices = 2;
  emulation_set_machine(two);
  double value[2], gradient[6];
  for (int i = 0; i < 2; i++) {
    struct softmax_regression *r = NULL;
    struct sample_set *set = NULL;
    OK_OR_FAIL(
        softmax_regression_open(&r, &(struct softmax_regression_config){i ? "cuda:1" : "ref", 1, 2, 2, 3}));
    OK_OR_FAIL(softmax_regression_load(&set, r, &samples));
    struct value in, out;
    struct graph *g = images("cuda:0", PRECISION_F32, 1, &in, &out);
    OK_OR_FAIL(graph_plan(g, (struct value){0}));
    graph_close(&g);
    OK_OR_FAIL(
        softmax_regression_objective(r, (struct sample_range){set, 0, 3}, 0.1, theta, &value[i], gradient));
    g = images("cuda:0", PRECISION_F32, 1, &in, &out);
    graph_close(&g);
    softmax_regression_unload(&set);
    softmax_regression_close(&r);
  }
  assert_true(fabs(value[1] - value[0]) <= 1e-12 * fabs(value[0]));
}

int main(void) {
  static enum precision f32 = PRECISION_F32, half = PRECISION_BF16;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(what_is_missing_is_one_line, restore),
      cmocka_unit_test_teardown(too_little_memory_names_the_flag, restore),
      cmocka_unit_test_teardown(features_that_do_not_fit_are_one_line, restore),
      cmocka_unit_test_teardown(a_classifier_stays_on_its_gpu, restore),
      {"images_arrive_normalised_and_in_order in float32", images_arrive_normalised_and_in_order, NULL, NULL,
       &f32},
      {"images_arrive_normalised_and_in_order in bf16", images_arrive_normalised_and_in_order, NULL, NULL,
       &half},
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
