#include <math.h>

#include "base/numeric.h"
#include "test.h"

static double relative(double a, double b) { return a == b ? 0 : fabs(a - b) / fabs(b); }

static void exp_and_log_agree_with_the_c_library(void **state) {
  (void)state;
  double worst_exp = 0, worst_log = 0;
  for (int i = -70000; i <= 70000; i++) {
    double x = i * 0.01 + 0.00123, e = relative(numeric_exp(x), exp(x));
    worst_exp = e > worst_exp ? e : worst_exp;
  }
  for (int i = 1; i <= 100000; i++) {
    double x = i * 0.001 + 0.0001, far = x * 1e200, small = x * 1e-200, e = fabs(numeric_log(x) - log(x));
    e = e / fmax(fabs(log(x)), 1e-3);
    e = fmax(e, fmax(relative(numeric_log(far), log(far)), relative(numeric_log(small), log(small))));
    worst_log = e > worst_log ? e : worst_log;
  }
  print_message("exp %.2g, log %.2g\n", worst_exp, worst_log);
  assert_true(worst_exp < 1e-15);
  assert_true(worst_log < 1e-15);
}

static void exact_values(void **state) {
  (void)state;
  assert_true(numeric_exp(0) == 1);
  assert_true(numeric_log(1) == 0);
  assert_true(numeric_log(2) == 0x1.62e42fefa39efp-1);
  assert_true(numeric_exp(-800) == 0);
  assert_true(isinf(numeric_exp(800)));
  assert_true(isfinite(numeric_exp(709)));
}

static void sine_and_cosine_agree_with_the_c_library(void **state) {
  (void)state;
  double worst = 0, s, c;
  for (int i = -40000; i <= 40000; i++) {
    double degrees = i * 0.01 + 0.00123, radians = degrees * 0x1.1df46a2529d39p-6;
    numeric_sincos(degrees, &s, &c);
    worst = fmax(worst, fmax(fabs(s - sin(radians)), fabs(c - cos(radians))));
  }
  print_message("sine and cosine %.2g\n", worst);
  assert_true(worst < 1e-15);
  static const double quarters[4][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}};
  for (int k = -8; k < 8; k++) {
    numeric_sincos(90 * k, &s, &c);
    assert_true(s == quarters[k & 3][0] && c == quarters[k & 3][1]);
  }
}

static void rounding_is_half_to_even(void **state) {
  (void)state;
  static const double in[] = {0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994, 7.0, 1e9 + 0.5};
  static const double want[] = {0, 2, 2, 0, -2, 0, 7, 1e9};
  for (size_t i = 0; i < sizeof in / sizeof *in; i++) assert_true(numeric_round(in[i]) == want[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exp_and_log_agree_with_the_c_library), cmocka_unit_test(exact_values),
      cmocka_unit_test(sine_and_cosine_agree_with_the_c_library), cmocka_unit_test(rounding_is_half_to_even)};
  return cmocka_run_group_tests_name("numeric", tests, NULL, NULL);
}
