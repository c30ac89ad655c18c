#include <math.h>
#include <stdbool.h>

#include "linear/sweep.h"
#include "nn/softmax_regression/softmax_regression_variant.h"
#include "parity/regression_check.h"

#define assert_close(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance)) /* fails on NaN */

/* One step beyond the protocol's own tolerance, so that two ways to the minimum can be compared. */
static const struct fit_rules exact = {
    .relative_gradient = 1e-9, .history = 30, .iterations = 5000, .line_search = 25, .c1 = 1e-4, .c2 = 0.9};

/* What a fit needs of some samples. */
struct fitting {
  struct softmax_regression *regression;
  struct sample_set *set;
  struct sample_range rows;
};

static struct fitting opened(const struct samples *data, int threads) {
  const struct softmax_regression_config config = {"cpu", threads, data->dim, data->classes, data->n};
  struct fitting f;
  assert_int_equal(softmax_regression_open(&f.regression, &config), OK);
  assert_int_equal(softmax_regression_load(&f.set, f.regression, data), OK);
  f.rows = (struct sample_range){f.set, 0, data->n};
  return f;
}

static void closed(struct fitting *f) {
  softmax_regression_unload(&f->set);
  softmax_regression_close(&f->regression);
}

static enum status fit_with(const struct samples *data, double l2, const struct fit_rules *rules,
                            bool preconditioned, int threads, double *theta, struct fit_report *report) {
  struct fitting f = opened(data, threads);
  struct preconditioner *p = NULL;
  if (preconditioned) assert_int_equal(preconditioner_open(&p, f.regression, f.rows), OK);
  enum status st = fit_run(f.regression, p, f.rows, l2, rules, theta, report);
  preconditioner_close(&p);
  closed(&f);
  return st;
}

static double fit(const struct samples *data, double l2, const struct fit_rules *rules, bool preconditioned,
                  double *theta) {
  struct fit_report report;
  assert_int_equal(fit_with(data, l2, rules, preconditioned, 2, theta, &report), OK);
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
  struct samples data = regression_samples(33, 4, 5, 5);
  double theta[25] = {0};
  assert_close(fit(&data, 1e9, &fit_default, true, theta), 33 * log(5), 1e-5);
  regression_free(&data);
}

/* 2000 rows are work for two threads, and 70 classes three tasks for the solves. */
static void the_number_of_threads_changes_nothing(void **state) {
  (void)state;
  struct samples data = regression_samples(2000, 30, 70, 66);
  struct fit_rules few = exact;
  static double theta[2][70 * 31];
  struct fit_report report[2];
  few.iterations = 5;
  for (int i = 0; i < 2; i++)
    assert_int_equal(fit_with(&data, 0.01, &few, true, 1 + 3 * i, theta[i], &report[i]), OK);
  assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
  assert_memory_equal(&report[0].objective, &report[1].objective, sizeof report[0].objective);
  regression_free(&data);
}

/* Also with a class that no row has, features that are constant or zero, and a single row. */
static void preconditioning_moves_the_path_not_the_minimum(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 40, 257};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    struct samples data = regression_samples(sizes[k], 6, 4, 3);
    float *x = (float *)(uintptr_t)data.x;
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
    regression_free(&data);
  }
}

static void a_start_at_the_minimum_takes_no_iteration(void **state) {
  (void)state;
  struct samples data = regression_samples(60, 2, 3, 3);
  double theta[9] = {0}, again[9];
  struct fit_report report;
  fit(&data, 0.1, &exact, true, theta);
  memcpy(again, theta, sizeof theta);
  assert_int_equal(fit_with(&data, 0.1, &fit_default, false, 1, again, &report), OK);
  assert_int_equal(report.iterations, 0);
  assert_int_equal(report.stop, FIT_CONVERGED);
  assert_memory_equal(theta, again, sizeof theta);
  regression_free(&data);
}

static void limits_end_a_fit_and_are_named(void **state) {
  (void)state;
  struct samples data = regression_samples(90, 5, 3, 3);
  struct fit_report report;
  struct fit_rules few = exact, evaluations = exact, impossible = exact;
  few.iterations = 3;
  evaluations.evaluations = 5;
  impossible.relative_gradient = 0, impossible.largest_gradient = 1e-300;
  double theta[18] = {0};
  assert_int_equal(fit_with(&data, 1e-3, &few, false, 1, theta, &report), OK);
  assert_int_equal(report.iterations, 3);
  assert_string_equal(fit_stop_name(report.stop), "iterations");
  memset(theta, 0, sizeof theta);
  assert_int_equal(fit_with(&data, 1e-3, &evaluations, false, 1, theta, &report), OK);
  assert_in_range(report.evaluations, 5, 30);
  assert_string_equal(fit_stop_name(report.stop), "evaluations");
  assert_int_equal(fit_with(&data, 1e-3, &impossible, false, 1, theta, &report), OK);
  assert_string_equal(fit_stop_name(report.stop), "precision");
  regression_free(&data);
}

static void features_that_are_not_finite_are_refused(void **state) {
  (void)state;
  const float x[] = {1, NAN};
  const int32_t y[] = {0, 1};
  const struct samples data = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2};
  for (int i = 0; i < 2; i++) {
    double theta[4] = {0};
    struct fit_report report;
    assert_int_equal(fit_with(&data, 1, &fit_default, i, 1, theta, &report), E_NUMERIC);
    assert_non_null(strstr(fail_message(), "not finite"));
  }
}

/* A device that stops working at the evaluation `left` counts down to. */
struct failing {
  struct softmax_regression_variant variant; /* first: from its address the rest is found */
  const struct softmax_regression_variant *sound;
  int left;
};

static enum status failing_objective(struct softmax_regression *s, const struct samples *rows,
                                     const double *theta, double *loss, double *gradient) {
  struct failing *f = (struct failing *)(uintptr_t)s->variant;
  if (f->left-- == 0) return fail(E_DEVICE, "the device failed");
  return f->left < 0 ? fail(E_DEVICE, "asked again") : f->sound->objective(s, rows, theta, loss, gradient);
}

/* At the start, within the first line search, later: never asked again, and its message is the one that stays. */
static void a_device_that_fails_ends_the_fit(void **state) {
  (void)state;
  struct samples data = regression_samples(90, 5, 3, 3);
  for (int after = 0; after < 6; after++) {
    struct fitting f = opened(&data, 1);
    struct failing failing = {*f.regression->variant, f.regression->variant, after};
    struct fit_report report;
    double theta[18] = {0};
    failing.variant.objective = failing_objective;
    f.regression->variant = &failing.variant;
    assert_int_equal(fit_run(f.regression, NULL, f.rows, 1e-3, &exact, theta, &report), E_DEVICE);
    assert_string_equal(fail_message(), "the device failed");
    f.regression->variant = failing.sound;
    closed(&f);
  }
  regression_free(&data);
}

static void scores_count_classes_that_have_rows(void **state) {
  (void)state;
  const int64_t correct[] = {3, 0, 1}, count[] = {3, 0, 2}, none[] = {0, 0, 0};
  struct score score = score_of(correct, count, 3);
  assert_close(score.top1, 0.8, 1e-15);
  assert_close(score.class_mean, 0.75, 1e-15);
  assert_close(score_of(none, none, 3).top1, 0, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_points_have_the_known_minimum),
      cmocka_unit_test(an_overwhelming_penalty_leaves_equal_chances),
      cmocka_unit_test(the_number_of_threads_changes_nothing),
      cmocka_unit_test(preconditioning_moves_the_path_not_the_minimum),
      cmocka_unit_test(a_start_at_the_minimum_takes_no_iteration),
      cmocka_unit_test(limits_end_a_fit_and_are_named),
      cmocka_unit_test(features_that_are_not_finite_are_refused),
      cmocka_unit_test(a_device_that_fails_ends_the_fit),
      cmocka_unit_test(scores_count_classes_that_have_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
