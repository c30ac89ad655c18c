/* The whole protocol against PyTorch's numbers: tests/oracle/linear.safetensors, made by make_linear.py. */
#include <math.h>

#include "linear/sweep.h"
#include "oracle/oracle.h"

#define assert_close(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance)) /* fails on NaN */

static const void *tensor(const struct safetensors *f, const char *name) {
  const struct tensor_view *t = safetensors_find(f, name);
  assert_non_null(t);
  return t->data;
}

/* counts: training, validation and test rows, classes, the index of the chosen l2. points [45, 4]: l2,
 * objective, validation top-1 and class mean. theta [45, classes, dim + 1]; final [classes, dim + 1];
 * final_scores: objective, test top-1 and class mean. */
static void protocol_matches_pytorch(const struct sweep_plan *plan, double tolerance,
                                     double weight_tolerance) {
  struct safetensors *f = oracle_open("linear.safetensors");
  assert_non_null(f);
  const int64_t *counts = tensor(f, "counts");
  const double *points = tensor(f, "points"), *expected = tensor(f, "final"),
               *scores = tensor(f, "final_scores");
  int64_t dim = safetensors_find(f, "x")->shape[1];
  struct samples fitting = {.x = tensor(f, "x"),
                            .y = tensor(f, "y"),
                            .n = counts[0] + counts[1],
                            .dim = dim,
                            .classes = (int32_t)counts[3]};
  struct samples test = fitting;
  test.x += fitting.n * dim;
  test.y += fitting.n;
  test.n = counts[2];
  struct sweep sweep;
  assert_int_equal(sweep_run(&sweep, plan, &fitting, counts[0], &test), OK);
  for (int k = 0; k < SWEEP_POINTS; k++) {
    assert_close(sweep.points[k].l2 / points[k * 4], 1, 1e-14);
    double above = sweep.points[k].fit.objective / points[k * 4 + 1] - 1; /* the oracle is at the minimum */
    assert_true(above > -1e-12 && above < tolerance);
    assert_close(sweep.points[k].validation.top1, points[k * 4 + 2], 1e-12);
    assert_close(sweep.points[k].validation.class_mean, points[k * 4 + 3], 1e-12);
  }
  assert_int_equal(sweep.best, counts[4]);
  assert_close(sweep.refit.objective / scores[0], 1, tolerance);
  for (int64_t i = 0; i < counts[3] * (dim + 1); i++)
    assert_close(sweep.theta[i], expected[i], weight_tolerance);
  assert_close(sweep.test.top1, scores[1], 1e-12);
  assert_close(sweep.test.class_mean, scores[2], 1e-12);
  sweep_free(&sweep);
  safetensors_close(&f);
}

static void the_default_protocol_gives_pytorchs_numbers(void **state) {
  (void)state;
  protocol_matches_pytorch(&(struct sweep_plan){.rules = fit_default, .precondition = true, .threads = 2},
                           1e-5, 1e-4);
}

static void the_papers_protocol_gives_pytorchs_numbers(void **state) {
  (void)state;
  protocol_matches_pytorch(&(struct sweep_plan){.rules = fit_paper, .threads = 2}, 1e-9, 1e-7);
}

static void parts_without_images_are_refused(void **state) {
  (void)state;
  const float x[] = {1, 2};
  const int32_t y[] = {0, 1};
  struct samples two = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2}, none = two;
  none.n = 0;
  struct sweep_plan plan = {.rules = fit_default};
  struct sweep sweep;
  assert_int_equal(sweep_run(&sweep, &plan, &two, 2, &two), E_ARG);
  assert_int_equal(sweep_run(&sweep, &plan, &two, 0, &two), E_ARG);
  assert_int_equal(sweep_run(&sweep, &plan, &two, 1, &none), E_ARG);
  assert_int_equal(sweep_run(&sweep, &plan, &two, 1, &two), OK); /* one training image, one for validation */
  assert_int_equal(sweep.test_count[0] + sweep.test_count[1], 2);
  sweep_free(&sweep);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_default_protocol_gives_pytorchs_numbers),
                                     cmocka_unit_test(the_papers_protocol_gives_pytorchs_numbers),
                                     cmocka_unit_test(parts_without_images_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
