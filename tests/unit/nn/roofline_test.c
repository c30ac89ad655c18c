#include <math.h>

#include "nn/roofline.h"
#include "test.h"

static void the_longer_of_computing_and_moving(void **state) {
  (void)state;
  const struct roofline r = {.flops = 100, .bytes = 10};
  assert_true(roofline_seconds(&r, 200, 10) == 2);
  assert_true(roofline_seconds(&r, 50, 30) == 3);
  assert_true(roofline_seconds(&r, 0, 0) == 0);
}

static void a_device_has_rates(void **state) {
  (void)state;
  struct roofline r = {0};
  assert_int_equal(roofline_measure(&r, &(struct graph_config){.device = "cpu", .threads = 1}), OK);
  assert_true(isfinite(r.flops) && r.flops > 0 && isfinite(r.bytes) && r.bytes > 0);
  assert_int_equal(roofline_measure(&r, &(struct graph_config){.device = "tpu", .threads = 1}), E_ARG);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_longer_of_computing_and_moving),
                                     cmocka_unit_test(a_device_has_rates)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
