/* Rounding to bfloat16 at every value of it and halfway to the next. */
#include <math.h>

#include "nn/cuda/bf16.h"
#include "test.h"

enum { VALUES = 1 << 16, INFINITE = 0x7f80, SIGN = 0x8000 };

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static unsigned rounded(uint32_t bits) { return bf16_round(float_of(bits)).bits; }

static void values_stay_as_they_are(void **state) {
  (void)state;
  for (unsigned i = 0; i < VALUES; i++) {
    bf16 x = {(uint16_t)i};
    if ((i & ~(unsigned)SIGN) > INFINITE) continue;
    assert_int_equal(bf16_round(bf16_widen(x)).bits, i);
  }
}

/* From the largest one on that is infinity. */
static void halfway_goes_to_even_and_beside_it_to_the_nearer(void **state) {
  (void)state;
  for (unsigned i = 0; i < VALUES; i++) {
    if ((i & ~(unsigned)SIGN) >= INFINITE) continue;
    uint32_t halfway = (uint32_t)i << 16 | 0x8000;
    assert_int_equal(rounded(halfway), i + (i & 1));
    assert_int_equal(rounded(halfway - 1), i);
    assert_int_equal(rounded(halfway + 1), i + 1);
  }
}

static void nan_stays_nan(void **state) {
  (void)state;
  for (unsigned i = 0; i < VALUES; i++) {
    if ((i & ~(unsigned)SIGN) < INFINITE) continue;
    for (uint32_t low = i & 0x7f ? 0 : 1; low <= 0xffff; low += 0x7fff)
      assert_true(isnan(bf16_widen((bf16){(uint16_t)rounded((uint32_t)i << 16 | low)})));
  }
}

static void pairs_are_two_numbers_the_first_below(void **state) {
  (void)state;
  assert_int_equal(bf16_round_pair(1.0f, -2.0f), 0xc0003f80u);
  for (unsigned i = 0; i < VALUES; i += 37) {
    uint32_t low = (uint32_t)i << 16 | 0x8001, high = (uint32_t)(VALUES - 1 - i) << 16;
    assert_int_equal(bf16_round_pair(float_of(low), float_of(high)), rounded(low) | rounded(high) << 16);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_stay_as_they_are),
      cmocka_unit_test(halfway_goes_to_even_and_beside_it_to_the_nearer),
      cmocka_unit_test(nan_stays_nan),
      cmocka_unit_test(pairs_are_two_numbers_the_first_below),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
