#include "train/schedule.h"

#include <math.h>

#include "test.h"

static void assert_close(double a, double b) {
  if (!(fabs(a - b) <= 1e-15)) fail_msg("%.17g is not %.17g", a, b);
}

/* methods section 8 (15): 200 epochs, half-way: .015. */
static void cosine_is_constant_within_an_epoch(void **state) {
  (void)state;
  struct schedule s = {0.03, true, 200, 410, 0};
  assert_close(schedule_lr(&s, 0), 0.03);
  assert_close(schedule_lr(&s, 409), 0.03);
  assert_close(schedule_lr(&s, 410), 0.015 * (1 + cos(acos(-1.0) / 200)));
  assert_close(schedule_lr(&s, 100 * 410), 0.015);
  assert_close(schedule_lr(&s, 100 * 410 + 409), 0.015);
  assert_true(schedule_lr(&s, 200 * 410 - 1) > 0);
}

static void constant_stays(void **state) {
  (void)state;
  struct schedule s = {0.1, false, 3, 7, 0};
  for (int step = 0; step < 21; step++) assert_close(schedule_lr(&s, step), 0.1);
}

static void warm_up_rises_step_by_step_to_the_peak(void **state) {
  (void)state;
  struct schedule s = {0.8, true, 10, 4, 2};
  for (int step = 0; step < 8; step++) assert_close(schedule_lr(&s, step), 0.1 * (step + 1));
  assert_close(schedule_lr(&s, 8), 0.8);
  assert_close(schedule_lr(&s, 6 * 4), 0.4);
  s.warmup_epochs = 0.5;
  assert_close(schedule_lr(&s, 0), 0.4);
  assert_close(schedule_lr(&s, 1), 0.8);
  assert_close(schedule_lr(&s, 3), 0.8);
  assert_true(schedule_lr(&s, 4) < 0.8);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(cosine_is_constant_within_an_epoch),
                                     cmocka_unit_test(constant_stays),
                                     cmocka_unit_test(warm_up_rises_step_by_step_to_the_peak)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
