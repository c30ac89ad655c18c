#include "base/rng.h"
#include "test.h"

/* Known answers published with the Random123 library (kat_vectors, philox4x32 10 rounds). */
static void philox_matches_known_answers(void **state) {
  (void)state;
  struct philox_block zero = philox(0, 0, 0, 0, 0);
  assert_int_equal(zero.word[0], 0x6627e8d5);
  assert_int_equal(zero.word[1], 0xe169c58d);
  assert_int_equal(zero.word[2], 0xbc57ac4c);
  assert_int_equal(zero.word[3], 0x9b00dbd8);
  struct philox_block ones = philox(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
  assert_int_equal(ones.word[0], 0x408f276d);
  struct philox_block pi = philox(0x299f31d0a4093822, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344);
  assert_int_equal(pi.word[0], 0xd16cfe09);
  assert_int_equal(pi.word[1], 0x94fdcceb);
  assert_int_equal(pi.word[2], 0x5001e420);
  assert_int_equal(pi.word[3], 0x24126ea1);
}

static void draws_depend_only_on_their_coordinate(void **state) {
  (void)state;
  struct rng a = rng_at(7, 3, 5, 1), b = rng_at(7, 3, 5, 1), c = rng_at(7, 3, 6, 1);
  int same = 0;
  for (int i = 0; i < 9; i++) {
    uint32_t x = rng_next(&a);
    assert_int_equal(x, rng_next(&b));
    same += x == rng_next(&c);
  }
  assert_int_equal(same, 0);
}

static void permutation_is_a_bijection_at_every_size(void **state) {
  (void)state;
  static const uint64_t sizes[] = {1, 2, 3, 7, 64, 1000, 4097};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    uint64_t n = sizes[s], fixed = 0;
    char *seen = calloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t p = rng_permute(11, 2, n, i);
      assert_true(p < n && !seen[p]);
      seen[p] = 1;
      fixed += p == i;
    }
    if (n >= 1000) assert_true(fixed < 10);
    free(seen);
  }
}

/* methods section 8 (17); and the seeds 0 and 42 of the dataset notes. */
static void randperm_matches_torch(void **state) {
  (void)state;
  static const int64_t seed43[20] = {8, 16, 13, 19, 9, 10, 0, 17, 4, 14, 11, 12, 18, 6, 15, 7, 3, 1, 5, 2};
  static const int64_t seed0[10] = {4, 1, 7, 5, 3, 9, 0, 8, 6, 2},
                       seed42[10] = {2, 6, 1, 8, 4, 5, 0, 9, 3, 7};
  int64_t p[20];
  rng_randperm_torch(43, 20, p);
  for (int i = 0; i < 20; i++) assert_int_equal(p[i], seed43[i]);
  rng_randperm_torch(0, 10, p);
  for (int i = 0; i < 10; i++) assert_int_equal(p[i], seed0[i]);
  rng_randperm_torch(42, 10, p);
  for (int i = 0; i < 10; i++) assert_int_equal(p[i], seed42[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_matches_known_answers), cmocka_unit_test(draws_depend_only_on_their_coordinate),
      cmocka_unit_test(permutation_is_a_bijection_at_every_size), cmocka_unit_test(randperm_matches_torch)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
