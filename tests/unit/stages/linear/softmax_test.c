#include <math.h>
#include <stdbool.h>

#include "base/rng.h"
#include "linear/fit.h"
#include "linear/precondition.h"
#include "linear/softmax.h"
#include "test.h"

#define assert_close(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance)) /* fails on NaN */

/* Rows of uneven scale whose class depends on them; classes >= `used` have none. */
static struct samples made(int64_t n, int64_t dim, int32_t classes, int32_t used, float *x, int32_t *y) {
  struct rng r = rng_at(5, (uint32_t)n, (uint32_t)dim, (uint32_t)classes);
  for (int64_t i = 0; i < n; i++) {
    y[i] = (int32_t)(i % used);
    for (int64_t j = 0; j < dim; j++)
      x[i * dim + j] = (float)(((rng_next_f64(&r) - 0.5) * 3 + (j % used == y[i])) * exp(-0.5 * (double)j));
  }
  return (struct samples){.x = x, .y = y, .n = n, .dim = dim, .classes = classes};
}

/* One step beyond the protocol's own tolerance, so that two ways to the minimum can be compared. */
static const struct fit_rules exact = {
    .relative_gradient = 1e-9, .history = 30, .iterations = 5000, .line_search = 25, .c1 = 1e-4, .c2 = 0.9};

static double fit(const struct samples *data, double l2, const struct fit_rules *rules, bool preconditioned,
                  double *theta) {
  struct softmax *s;
  struct preconditioner *p = NULL;
  struct fit_report report;
  assert_int_equal(softmax_open(&s, data->dim, data->classes, 2), OK);
  if (preconditioned) assert_int_equal(preconditioner_open(&p, data, 2), OK);
  assert_int_equal(fit_run(s, p, data, l2, rules, theta, &report), OK);
  preconditioner_close(&p);
  softmax_close(&s);
  return report.objective;
}

/* The minimum is a(1 + e^2a) = 1 with weights +-a and no bias (methods, oracle 16). */
static void two_points_have_the_known_minimum(void **state) {
  (void)state;
  const float x[] = {1, -1};
  const int32_t y[] = {0, 1};
  const struct samples data = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2};
  const struct fit_rules *rules[] = {&fit_default, &fit_paper};
  for (int i = 0; i < 4; i++) {
    double theta[4] = {0}, tolerance = i % 2 ? 1e-9 : 1e-5;
    assert_close(fit(&data, 1, rules[i % 2], i / 2, theta), 1.0509141, 5e-8);
    assert_close(theta[0], 0.3374158, tolerance + 5e-8);
    assert_close(theta[2], -0.3374158, tolerance + 5e-8);
    assert_close(theta[1], 0, tolerance);
    assert_close(theta[3], 0, tolerance);
  }
}

static void an_overwhelming_penalty_leaves_equal_chances(void **state) {
  (void)state;
  float x[33 * 4];
  int32_t y[33];
  struct samples data = made(33, 4, 5, 5, x, y);
  double theta[25] = {0};
  assert_close(fit(&data, 1e9, &fit_default, true, theta), 33 * log(5), 1e-5);
}

static void gradient_matches_finite_differences(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 15, 17,
                                  300}; /* one row; fewer rows than lanes; ragged lanes and blocks */
  float x[300 * 3];
  int32_t y[300];
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    struct samples data = made(sizes[k], 3, 4, 3, x, y);
    struct softmax *s;
    double theta[16], gradient[16], unused[16], h = 1e-5;
    for (int i = 0; i < 16; i++) theta[i] = 0.3 * sin(i + 1.0);
    assert_int_equal(softmax_open(&s, 3, 4, 2), OK);
    assert_int_equal(softmax_params(s), 16);
    softmax_objective(s, &data, 0.7, theta, gradient);
    for (int i = 0; i < 16; i++) {
      double at = theta[i];
      theta[i] = at + h;
      double up = softmax_objective(s, &data, 0.7, theta, unused);
      theta[i] = at - h;
      double down = softmax_objective(s, &data, 0.7, theta, unused);
      theta[i] = at;
      assert_close((up - down) / (2 * h), gradient[i], 1e-7 * (1 + fabs(gradient[i])));
    }
    softmax_close(&s);
    assert_null(s);
  }
}

static void huge_logits_do_not_overflow(void **state) {
  (void)state;
  const float x[] = {1, -1};
  const int32_t y[] = {0, 1};
  const struct samples data = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2};
  double theta[4] = {-1e5, 0, 1e5, 0}, gradient[4];
  struct softmax *s;
  assert_int_equal(softmax_open(&s, 1, 2, 1), OK);
  assert_close(softmax_objective(s, &data, 0, theta, gradient), 4e5, 1e-6);
  assert_close(gradient[0], -2, 1e-12);
  softmax_close(&s);
}

static void the_number_of_threads_changes_nothing(void **state) {
  (void)state;
  float *x = malloc(700 * 9 * sizeof *x);
  int32_t *y = malloc(700 * sizeof *y);
  struct samples data = made(700, 9, 6, 6, x, y);
  double theta[2][60] = {{0}}, objective[2];
  int64_t correct[2][6], count[6];
  for (int i = 0; i < 2; i++) {
    struct softmax *s;
    struct preconditioner *p;
    struct fit_report report;
    assert_int_equal(softmax_open(&s, 9, 6, 1 + 3 * i), OK);
    assert_int_equal(preconditioner_open(&p, &data, 1 + 3 * i), OK);
    assert_int_equal(fit_run(s, p, &data, 0.01, &fit_default, theta[i], &report), OK);
    softmax_count(s, &data, theta[i], correct[i], count);
    objective[i] = report.objective;
    preconditioner_close(&p);
    softmax_close(&s);
  }
  assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
  assert_memory_equal(&objective[0], &objective[1], sizeof objective[0]);
  assert_memory_equal(correct[0], correct[1], sizeof correct[0]);
  free(x);
  free(y);
}

/* Also with a class that no row has, features that are constant or zero, and a single row. */
static void preconditioning_moves_the_path_not_the_minimum(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 40, 257};
  float x[257 * 6];
  int32_t y[257];
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    struct samples data = made(sizes[k], 6, 4, 3, x, y);
    for (int64_t i = 0; i < sizes[k]; i++) x[i * 6 + 2] = 0, x[i * 6 + 4] = 1;
    for (int e = 0; e < 3; e++) {
      double l2 = pow(100, e) * 1e-3;
      double plain[28] = {0}, fast[28] = {0};
      double a = fit(&data, l2, &exact, false, plain), b = fit(&data, l2, &exact, true, fast);
      assert_close(a, b, 1e-9 * (1 + fabs(a)));
      for (int i = 0; i < 28; i++) assert_close(plain[i], fast[i], 1e-4);
      if (sizes[k] > 1)
        assert_true(fast[3 * 7 + 6] < -0.2 / (1 + l2)); /* the absent class is made unlikely */
    }
  }
}

static void a_start_at_the_minimum_takes_no_iteration(void **state) {
  (void)state;
  float x[60 * 2];
  int32_t y[60];
  struct samples data = made(60, 2, 3, 3, x, y);
  double theta[9] = {0}, again[9];
  fit(&data, 0.1, &exact, true, theta);
  memcpy(again, theta, sizeof theta);
  struct softmax *s;
  struct fit_report report;
  assert_int_equal(softmax_open(&s, 2, 3, 1), OK);
  assert_int_equal(fit_run(s, NULL, &data, 0.1, &fit_default, again, &report), OK);
  assert_int_equal(report.iterations, 0);
  assert_int_equal(report.stop, FIT_CONVERGED);
  assert_memory_equal(theta, again, sizeof theta);
  softmax_close(&s);
}

static void limits_end_a_fit_and_are_named(void **state) {
  (void)state;
  float x[90 * 5];
  int32_t y[90];
  struct samples data = made(90, 5, 3, 3, x, y);
  struct softmax *s;
  struct fit_report report;
  assert_int_equal(softmax_open(&s, 5, 3, 1), OK);
  struct fit_rules few = exact, evaluations = exact, impossible = exact;
  few.iterations = 3;
  evaluations.evaluations = 5;
  impossible.relative_gradient = 0, impossible.largest_gradient = 1e-300;
  double theta[18] = {0};
  assert_int_equal(fit_run(s, NULL, &data, 1e-3, &few, theta, &report), OK);
  assert_int_equal(report.iterations, 3);
  assert_string_equal(fit_stop_name(report.stop), "iterations");
  memset(theta, 0, sizeof theta);
  assert_int_equal(fit_run(s, NULL, &data, 1e-3, &evaluations, theta, &report), OK);
  assert_in_range(report.evaluations, 5, 30);
  assert_string_equal(fit_stop_name(report.stop), "evaluations");
  assert_int_equal(fit_run(s, NULL, &data, 1e-3, &impossible, theta, &report), OK);
  assert_string_equal(fit_stop_name(report.stop), "precision");
  softmax_close(&s);
}

static void features_that_are_not_finite_are_refused(void **state) {
  (void)state;
  const float x[] = {1, NAN};
  const int32_t y[] = {0, 1};
  const struct samples data = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2};
  for (int i = 0; i < 2; i++) {
    double theta[4] = {0};
    struct softmax *s;
    struct preconditioner *p = NULL;
    struct fit_report report;
    assert_int_equal(softmax_open(&s, 1, 2, 1), OK);
    if (i) assert_int_equal(preconditioner_open(&p, &data, 1), OK);
    assert_int_equal(fit_run(s, p, &data, 1, &fit_default, theta, &report), E_NUMERIC);
    assert_non_null(strstr(fail_message(), "not finite"));
    preconditioner_close(&p);
    softmax_close(&s);
  }
}

static void scores_count_classes_that_have_rows(void **state) {
  (void)state;
  const float x[] = {1, 1, 1, -1, 0};
  const int32_t y[] = {0, 0, 2, 2, 0};
  const struct samples data = {.x = x, .y = y, .n = 5, .dim = 1, .classes = 3};
  const double theta[] = {1,  0,  -5,
                          -9, -1, 0}; /* class 0 for x > 0, class 2 for x < 0; class 0 at equality */
  int64_t correct[3], count[3];
  struct softmax *s;
  assert_int_equal(softmax_open(&s, 1, 3, 2), OK);
  softmax_count(s, &data, theta, correct, count);
  assert_int_equal(correct[0], 3);
  assert_int_equal(count[0], 3);
  assert_int_equal(count[1], 0);
  assert_int_equal(correct[2], 1);
  struct score score = score_of(correct, count, 3);
  assert_close(score.top1, 0.8, 1e-15);
  assert_close(score.class_mean, 0.75, 1e-15);
  softmax_close(&s);
}

static void bad_sizes_are_refused(void **state) {
  (void)state;
  struct softmax *s;
  assert_int_equal(softmax_open(&s, 0, 3, 1), E_ARG);
  assert_int_equal(softmax_open(&s, 3, 0, 1), E_ARG);
  assert_int_equal(softmax_open(&s, 3, 3, -1), E_ARG);
  assert_int_equal(softmax_open(&s, INT32_MAX, 2, 1), E_ARG);
  assert_null(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_points_have_the_known_minimum),
      cmocka_unit_test(an_overwhelming_penalty_leaves_equal_chances),
      cmocka_unit_test(gradient_matches_finite_differences),
      cmocka_unit_test(huge_logits_do_not_overflow),
      cmocka_unit_test(the_number_of_threads_changes_nothing),
      cmocka_unit_test(preconditioning_moves_the_path_not_the_minimum),
      cmocka_unit_test(a_start_at_the_minimum_takes_no_iteration),
      cmocka_unit_test(limits_end_a_fit_and_are_named),
      cmocka_unit_test(features_that_are_not_finite_are_refused),
      cmocka_unit_test(scores_count_classes_that_have_rows),
      cmocka_unit_test(bad_sizes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
