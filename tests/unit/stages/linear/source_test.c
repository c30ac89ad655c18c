/* Calibration by a pass over batches, padding, and copying, on the float64 backend. */
#include <math.h>
#include <stdbool.h>

#include "linear/source.h"
#include "test.h"

enum { SIZE = 8, BATCH = 4, N = 12, IMAGE = SIZE * SIZE * 3 };

static struct weights_source source(uint64_t seed) {
  return (struct weights_source){.path = "random",
                                 .seed = seed,
                                 .size = SIZE,
                                 .model = {.arch = "resnet10", .stem = "cifar", .width = 2},
                                 .mean = {0.5, 0.4, 0.3},
                                 .std = {0.25, 0.2, 0.3}};
}

static struct network *opened(const struct weights_source *s, enum graph_mode mode, int64_t batch) {
  struct network *w;
  if (weights_source_network(&w, s, mode, batch, &(struct device_options){.device = "ref", .threads = 1}) !=
      OK)
    fail_msg("%s", fail_message());
  return w;
}

static void fill(uint8_t *pixels, int64_t n) {
  for (int64_t i = 0; i < n * IMAGE; i++) pixels[i] = (uint8_t)((i * i % 251 + i / IMAGE * 40) % 256);
}

static void check(enum status st) {
  if (st != OK) fail_msg("%s", fail_message());
}

/* With K batches of equal size, each weighted 1/K, the order of the batches does not matter, and identical
 * batches give the statistics of one; a plain momentum of 0.1 would still hold a third of the start (0 and 1)
 * after ten. */
static void calibration_is_the_mean_over_batches(void **state) {
  (void)state;
  struct weights_source s = source(3);
  static uint8_t pixels[N * IMAGE];
  float features[3][BATCH * 16];
  fill(pixels, N);
  static const int orders[3][3] = {{0, 1, 2}, {2, 0, 1}, {1, 1, 1}};
  for (int k = 0; k < 3; k++) {
    struct network *measured = opened(&s, GRAPH_FORWARD, BATCH), *frozen = opened(&s, GRAPH_INFERENCE, BATCH);
    assert_int_equal(network_dim(frozen), 16);
    for (int i = 0; i < 3; i++)
      check(network_calibrate(measured, pixels + (ptrdiff_t)orders[k][i] * BATCH * IMAGE, i + 1));
    check(network_copy(frozen, measured));
    check(network_features(frozen, pixels, BATCH, features[k]));
    network_close(&measured);
    network_close(&frozen);
    assert_null(frozen);
  }
  double difference = 0, size = 0;
  for (int i = 0; i < BATCH * 16; i++) {
    assert_true(fabsf(features[0][i] - features[1][i]) <= 1e-6F * (1 + fabsf(features[0][i])));
    difference += fabs((double)features[0][i] - (double)features[2][i]);
    size += fabs((double)features[0][i]);
  }
  assert_true(difference > 1e-4 * size);
  struct network *once = opened(&s, GRAPH_FORWARD, BATCH), *frozen = opened(&s, GRAPH_INFERENCE, BATCH);
  check(network_calibrate(once, pixels + BATCH * IMAGE, 1));
  check(network_copy(frozen, once));
  check(network_features(frozen, pixels, BATCH, features[0]));
  for (int i = 0; i < BATCH * 16; i++)
    assert_true(fabsf(features[0][i] - features[2][i]) <= 1e-6F * (1 + fabsf(features[0][i])));
  network_close(&once);
  network_close(&frozen);
}

static void a_ragged_batch_changes_no_image(void **state) {
  (void)state;
  struct weights_source s = source(4);
  static uint8_t pixels[N * IMAGE];
  float whole[N * 16], part[N * 16];
  fill(pixels, N);
  struct network *large = opened(&s, GRAPH_INFERENCE, N), *small = opened(&s, GRAPH_INFERENCE, 5);
  check(network_features(large, pixels, N, whole));
  for (int64_t i = 0; i < N; i += 5)
    check(network_features(small, pixels + i * IMAGE, N - i < 5 ? N - i : 5, part + i * 16));
  assert_memory_equal(whole, part, sizeof whole);
  bool all_equal = true;
  for (int i = 16; i < N * 16; i++) all_equal = all_equal && whole[i] == whole[i % 16];
  assert_false(all_equal);
  network_close(&large);
  network_close(&small);
}

static void the_seed_decides_the_weights(void **state) {
  (void)state;
  struct weights_source s[3] = {source(1), source(1), source(2)};
  static uint8_t pixels[BATCH * IMAGE];
  float x[3][BATCH * 16];
  fill(pixels, BATCH);
  for (int i = 0; i < 3; i++) {
    struct network *w = opened(&s[i], GRAPH_INFERENCE, BATCH);
    check(network_features(w, pixels, BATCH, x[i]));
    network_close(&w);
  }
  assert_memory_equal(x[0], x[1], sizeof x[0]);
  assert_memory_not_equal(x[0], x[2], sizeof x[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(calibration_is_the_mean_over_batches),
                                     cmocka_unit_test(a_ragged_batch_changes_no_image),
                                     cmocka_unit_test(the_seed_decides_the_weights)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
