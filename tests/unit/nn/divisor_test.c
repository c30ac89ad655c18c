/* Division by multiplication against division. */
#include "nn/cuda/divisor.h"
#include "test.h"

static const uint32_t largest = (UINT32_C(1) << DIVISOR_BITS) - 1;

static void expect(uint32_t n, uint32_t by) {
  struct divisor d = divisor_of(by);
  if (quotient(n, d) != n / by || remainder_of(n, d) != n % by)
    fail_msg("%u / %u is %u, rest %u", n, by, quotient(n, d), remainder_of(n, d));
}

static void around_multiples(uint32_t by) {
  uint32_t top = largest / by * by;
  for (uint32_t k = 0; k < 40; k++) {
    uint64_t at = (uint64_t)k * by;
    if (at + 1 > largest) break;
    if (at > 0) expect((uint32_t)at - 1, by);
    expect((uint32_t)at, by);
    expect((uint32_t)at + 1, by);
  }
  expect(top, by);
  if (top > 0) expect(top - 1, by);
  expect(largest, by);
}

static void small_divisors_divide_exactly(void **state) {
  (void)state;
  for (uint32_t by = 1; by < 5000; by++) around_multiples(by);
}

static void divisors_beside_powers_of_two_divide_exactly(void **state) {
  (void)state;
  for (int bits = 2; bits < DIVISOR_BITS; bits++)
    for (int beside = -2; beside <= 2; beside++) around_multiples((UINT32_C(1) << bits) + (uint32_t)beside);
  around_multiples(largest);
  around_multiples(largest - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_divisors_divide_exactly),
      cmocka_unit_test(divisors_beside_powers_of_two_divide_exactly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
