/* Every backend's objective, gradient, counts and A'A against `ref`, whose gradient is checked against finite
 * differences and whose values against known ones. */
#include "regression_check.h"

static const struct {
  const char *name;
  int64_t n, dim;
  int32_t classes, used;
} cases[] = {
    {"one row, one feature", 1, 1, 2, 1},
    {"one row", 1, 5, 3, 1},
    {"one class", 9, 3, 1, 1},
    {"fewer rows than lanes", 15, 3, 4, 3},
    {"a row more than lanes", 17, 3, 4, 3},
    {"a whole vector of columns", 40, 7, 5, 5},
    {"a column more", 41, 8, 5, 2},
    {"more classes than a warp", 33, 4, 71, 60},
    {"ragged", 300, 37, 7, 5},
    {"tiles of A'A", 600, 150, 3, 3},
    {"more than a block", 4096 + 37, 3, 3, 3},
};

static void matches_ref(void **state) {
  regression_need(*state);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct samples s = regression_samples(cases[i].n, cases[i].dim, cases[i].classes, cases[i].used);
    regression_check(cases[i].name, *state, &s, 1e-12);
    regression_free(&s);
  }
}

static void the_gradient_is_that_of_the_objective(void **state) {
  regression_need(*state);
  static const int64_t sizes[] = {1, 2, 17};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    struct samples s = regression_samples(sizes[k], 3, 4, 3);
    struct regression r = regression_open(*state, &s, 2);
    const struct sample_range rows = {r.set, 0, sizes[k]};
    double unused[16], side[2], h = 1e-5;
    regression_ask(&r, 0, sizes[k], 0.7);
    for (int64_t i = 0; i < r.params; i++) {
      const double at = r.theta[i];
      for (int up = 0; up < 2; up++) {
        r.theta[i] = at + (up ? h : -h);
        REGRESSION_OK(softmax_regression_objective(r.on, rows, 0.7, r.theta, &side[up], unused));
      }
      r.theta[i] = at;
      assert_true(fabs((side[1] - side[0]) / (2 * h) - r.gradient[i]) <= 1e-7 * (1 + fabs(r.gradient[i])));
    }
    regression_close(&r);
    regression_free(&s);
  }
}

static void huge_logits_do_not_overflow(void **state) {
  regression_need(*state);
  const float x[] = {1, -1};
  const int32_t y[] = {0, 1};
  const struct samples s = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2};
  const double theta[4] = {-1e5, 0, 1e5, 0};
  struct regression r = regression_open(*state, &s, 1);
  REGRESSION_OK(
      softmax_regression_objective(r.on, (struct sample_range){r.set, 0, 2}, 0, theta, &r.value, r.gradient));
  assert_true(fabs(r.value - 4e5) <= 1e-6);
  assert_true(fabs(r.gradient[0] + 2) <= 1e-12);
  regression_close(&r);
}

/* Whole numbers, so that equal logits are equal whatever the order of a sum. */
static void the_first_of_equal_logits_is_the_answer(void **state) {
  regression_need(*state);
  const float x[] = {1, 1, 1, -1, 0, 1};
  const int32_t y[] = {0, 3, 2, 2, 0, 1};
  const struct samples s = {.x = x, .y = y, .n = 6, .dim = 1, .classes = 4};
  /* class 0 for x > 0, class 2 for x < 0, class 0 of the equals 0, 2 and 3 at 0; 3 is equal to 0 everywhere */
  const double theta[] = {1, 0, -5, -9, -1, 0, 1, 0};
  struct regression r = regression_open(*state, &s, 2);
  REGRESSION_OK(
      softmax_regression_count(r.on, (struct sample_range){r.set, 0, 6}, theta, r.correct, r.count));
  static const int64_t correct[] = {2, 0, 1, 0}, count[] = {2, 1, 2, 1};
  assert_memory_equal(r.correct, correct, sizeof correct);
  assert_memory_equal(r.count, count, sizeof count);
  REGRESSION_OK(
      softmax_regression_count(r.on, (struct sample_range){r.set, 3, 2}, theta, r.correct, r.count));
  static const int64_t correct_of_two[] = {1, 0, 1, 0}, count_of_two[] = {1, 0, 1, 0};
  assert_memory_equal(r.correct, correct_of_two, sizeof correct_of_two);
  assert_memory_equal(r.count, count_of_two, sizeof count_of_two);
  regression_close(&r);
}

/* As a NaN, and as an infinity that becomes one; rows before and behind it. */
static void what_is_not_finite_reaches_objective_and_moments(void **state) {
  regression_need(*state);
  static const float bad[] = {NAN, INFINITY};
  for (int i = 0; i < 2; i++) {
    struct samples s = regression_samples(20, 3, 4, 4);
    float *x = (float *)(uintptr_t)s.x;
    x[7 * 3 + 1] = bad[i];
    struct regression r = regression_open(*state, &s, 2);
    regression_ask(&r, 0, 20, 0.7);
    assert_true(isnan(r.value));
    assert_true(isnan(r.gradient[1]));
    assert_false(isfinite(r.gram[1 * 4 + 1]));
    regression_ask(&r, 8, 12, 0.7); /* and nothing of it stays */
    assert_true(isfinite(r.value) && isfinite(r.gradient[1]) && isfinite(r.gram[1 * 4 + 1]));
    regression_close(&r);
    regression_free(&s);
  }
}

static void sets_of_other_sizes_share_a_regression(void **state) {
  regression_need(*state);
  struct samples large = regression_samples(50, 6, 3, 3), small = regression_samples(3, 6, 3, 2);
  struct regression r = regression_open(*state, &large, 2), alone = regression_open(*state, &small, 2);
  struct sample_set *first = r.set, *second;
  REGRESSION_OK(softmax_regression_load(&second, r.on, &small));
  r.set = second;
  regression_ask(&r, 0, 3, 0.1);
  regression_ask(&alone, 0, 3, 0.1);
  regression_compare("a small set beside a large one", &r, &alone, 1e-12);
  r.set = first;
  softmax_regression_unload(&second);
  regression_ask(&r, 0, 50, 0.1);
  assert_int_equal(r.count[0] + r.count[1] + r.count[2], 50);
  regression_close(&r);
  regression_close(&alone);
  regression_free(&large);
  regression_free(&small);
}

static void bad_sizes_are_refused(void **state) {
  regression_need(*state);
  const struct softmax_regression_config good = {*state, 1, 3, 3, 5};
  struct softmax_regression_config bad[] = {good, good, good, good, good, good};
  struct softmax_regression *r;
  struct sample_set *set;
  bad[0].dim = 0;
  bad[1].classes = 0;
  bad[2].threads = -1;
  bad[3].most_rows = 0;
  bad[4].dim = INT32_MAX;
  bad[5].device = "tpu";
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(softmax_regression_open(&r, &bad[i]), E_ARG);
    assert_null(r);
  }
  REGRESSION_OK(softmax_regression_open(&r, &good));
  static const int64_t sizes[][3] = {
      {6, 3, 3}, {5, 4, 3}, {5, 3, 2}}; /* too many rows, other dim, other classes */
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct samples s = regression_samples(sizes[i][0], sizes[i][1], (int32_t)sizes[i][2], 2);
    assert_int_equal(softmax_regression_load(&set, r, &s), E_ARG);
    assert_null(set);
    regression_free(&s);
  }
  softmax_regression_close(&r);
}

/* All of it on one backend; where the build lacks it, nothing. */
static int check_on(char *device) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_prestate(matches_ref, device),
      cmocka_unit_test_prestate(the_gradient_is_that_of_the_objective, device),
      cmocka_unit_test_prestate(huge_logits_do_not_overflow, device),
      cmocka_unit_test_prestate(the_first_of_equal_logits_is_the_answer, device),
      cmocka_unit_test_prestate(what_is_not_finite_reaches_objective_and_moments, device),
      cmocka_unit_test_prestate(sets_of_other_sizes_share_a_regression, device),
      cmocka_unit_test_prestate(bad_sizes_are_refused, device),
  };
  return has_backend(device) ? cmocka_run_group_tests_name(device, tests, NULL, NULL) : 0;
}

int main(void) {
  static char ref[] = "ref", cpu[] = "cpu", cuda[] = "cuda";
  return check_on(ref) + check_on(cpu) + check_on(cuda);
}
