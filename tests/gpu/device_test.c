/* What a GPU does that the emulation cannot be asked: numbers there and back, images as ref has them, memory that is
 * too small, devices that are not there. */
#include "gpu/gpu.h"
#include "nn/relu/relu.h"

static struct graph *planned(const char *device, enum precision precision, struct shape shape,
                             struct value *x) {
  struct graph *g;
  CHECK(graph_open(
      &g, &(struct graph_config){.device = device, .mode = GRAPH_INFERENCE, .precision = precision}));
  *x = graph_input(g, "x", shape);
  graph_output(g, "y", relu(g, *x));
  CHECK(graph_plan(g, (struct value){0}));
  return g;
}

static void numbers_come_back(void **state) {
  (void)state;
  skip_without_gpu();
  enum { N = 3, C = 5, H = 7, W = 2, COUNT = N * C * H * W };
  float in[COUNT], out[COUNT];
  struct value x;
  struct graph *g = planned("cuda", PRECISION_F32, shape_4(N, C, H, W), &x);
  for (int i = 0; i < COUNT; i++) in[i] = (float)i / 3 - 40;
  CHECK(graph_write_f32(g, x, in, COUNT));
  CHECK(graph_read_f32(g, x, out, COUNT));
  assert_memory_equal(in, out, sizeof in);
  graph_close(&g);
}

static void pixels_are_normalised_as_on_ref(void **state) {
  (void)state;
  skip_without_gpu();
  enum { N = 4, SIDE = 9, COUNT = N * 3 * SIDE * SIDE };
  static const double mean[3] = {0.48, 0.45, 0.41}, std[3] = {0.23, 0.22, 0.21};
  static const char *const devices[] = {"ref", "cuda"};
  uint8_t pixels[COUNT];
  float out[2][COUNT];
  for (int i = 0; i < COUNT; i++) pixels[i] = (uint8_t)(i * 37);
  for (int d = 0; d < 2; d++) {
    struct value x;
    struct graph *g = planned(devices[d], PRECISION_F32, shape_4(N, 3, SIDE, SIDE), &x);
    CHECK(graph_write_pixels(g, x, pixels, mean, std));
    CHECK(graph_read_f32(g, x, out[d], COUNT));
    graph_close(&g);
  }
  for (int i = 0; i < COUNT; i++) assert_float_equal(out[0][i], out[1][i], 1e-6F);
}

static void what_does_not_fit_is_said_with_what_to_change(void **state) {
  (void)state;
  skip_without_gpu();
  struct graph *g;
  CHECK(graph_open(&g, &(struct graph_config){.device = "cuda", .mode = GRAPH_INFERENCE}));
  graph_output(g, "y", relu(g, graph_input(g, "x", shape_2(1 << 21, 1 << 21)))); /* 16 TiB */
  assert_int_equal(graph_plan(g, (struct value){0}), E_MEMORY);
  assert_non_null(strstr(fail_message(), "--batch"));
  graph_close(&g);
  assert_true(device_opens(&(struct graph_config){.device = "cuda"})); /* and the device still works */
}

static void a_device_that_is_not_there_is_refused(void **state) {
  (void)state;
  skip_without_gpu();
  struct graph *g = NULL;
  assert_int_equal(graph_open(&g, &(struct graph_config){.device = "cuda:1000"}), E_DEVICE);
  assert_non_null(strstr(fail_message(), "this machine has"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_come_back),
                                     cmocka_unit_test(pixels_are_normalised_as_on_ref),
                                     cmocka_unit_test(what_does_not_fit_is_said_with_what_to_change),
                                     cmocka_unit_test(a_device_that_is_not_there_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
