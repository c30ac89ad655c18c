#include "test.h"

#include "wire/pace.h"

enum { CEILING = 30000, COST = 1000000 };

static void learn(struct pace *p, int n, int64_t took_ms, int64_t cost) {
  for (int i = 0; i < n; i++) pace_note(p, took_ms, cost);
}

static void nothing_is_known_before_a_few_shards_are_back(void **state) {
  (void)state;
  struct pace p;
  pace_open(&p, CEILING);
  learn(&p, PACE_LEARN - 1, 400, COST);
  assert_int_equal(pace_lease_ms(&p, COST, 1), CEILING);
  assert_true(pace_hedge_ms(&p, COST) == INT64_MAX);
  pace_note(&p, 400, COST);
  assert_int_equal(pace_lease_ms(&p, COST, 1), 1600);
  assert_int_equal(pace_hedge_ms(&p, COST), 600);
}

static void a_slow_first_shard_and_a_stopped_worker_change_nothing(void **state) {
  (void)state;
  struct pace p;
  pace_open(&p, CEILING);
  pace_note(&p, 20000, COST);
  learn(&p, PACE_LEARN, 400, COST);
  assert_int_equal(pace_lease_ms(&p, COST, 1), 1600);
  for (int i = 0; i < 4 * PACE_SAMPLES; i++) pace_note(&p, i % 12 == 0 ? 15000 : 400, COST);
  assert_int_equal(pace_lease_ms(&p, COST, 1), 1600);
  assert_int_equal(pace_hedge_ms(&p, COST), 600);
}

static void all_slower_is_the_new_pace(void **state) {
  (void)state;
  struct pace p;
  pace_open(&p, CEILING);
  learn(&p, PACE_SAMPLES, 400, COST);
  learn(&p, PACE_SAMPLES / 8, 2000, COST);
  assert_int_equal(pace_hedge_ms(&p, COST), 3000);
  learn(&p, PACE_SAMPLES, 400, COST);
  assert_int_equal(pace_hedge_ms(&p, COST), 600);
}

static void leases_lie_between_floor_and_ceiling_and_double(void **state) {
  (void)state;
  struct pace p;
  pace_open(&p, CEILING);
  learn(&p, PACE_SAMPLES, 3, COST);
  assert_int_equal(pace_hedge_ms(&p, COST), HEDGE_FLOOR_MS);
  for (uint64_t attempt = 1, ms = LEASE_FLOOR_MS; attempt < 100; attempt++, ms *= 2) {
    if (ms > CEILING) ms = CEILING;
    assert_int_equal(pace_lease_ms(&p, COST, attempt), ms);
  }
  pace_open(&p, 300); /* a ceiling below the floor is meant */
  learn(&p, PACE_SAMPLES, 3, COST);
  assert_int_equal(pace_lease_ms(&p, COST, 1), 300);
}

static void large_shards_have_longer_and_small_ones_no_less(void **state) {
  (void)state;
  struct pace p;
  pace_open(&p, CEILING);
  learn(&p, PACE_SAMPLES, 400, COST);
  assert_int_equal(pace_hedge_ms(&p, 3 * COST), 1800);
  assert_int_equal(pace_lease_ms(&p, 3 * COST, 1), 4800);
  assert_int_equal(pace_hedge_ms(&p, COST / 10), 600);
  pace_open(&p, CEILING);
  for (int i = 0; i < PACE_SAMPLES; i++) /* one unit of time per unit of cost */
    pace_note(&p, i % 2 ? 600 : 200, i % 2 ? 3 * COST : COST);
  assert_int_equal(pace_hedge_ms(&p, 2 * COST), 600);
  assert_int_equal(pace_hedge_ms(&p, 4 * COST), 1200);
  pace_open(&p, CEILING);
  learn(&p, PACE_SAMPLES, 400, 0);
  assert_int_equal(pace_hedge_ms(&p, 0), 600);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_known_before_a_few_shards_are_back),
                                     cmocka_unit_test(a_slow_first_shard_and_a_stopped_worker_change_nothing),
                                     cmocka_unit_test(all_slower_is_the_new_pace),
                                     cmocka_unit_test(leases_lie_between_floor_and_ceiling_and_double),
                                     cmocka_unit_test(large_shards_have_longer_and_small_ones_no_less)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
