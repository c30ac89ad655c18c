/* The whole protocol on every backend against PyTorch's numbers: tests/oracle/linear.safetensors, made by
 * make_linear.py. */
#include <math.h>

#include "linear/sweep.h"
#include "oracle/oracle.h"
#include "parity/regression_check.h"

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
  regression_need(plan->device);
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
  const struct sweep_plan plan = {*state, .rules = fit_default, .precondition = true, .threads = 2};
  protocol_matches_pytorch(&plan, 1e-5, 1e-4);
}

static void the_papers_protocol_gives_pytorchs_numbers(void **state) {
  const struct sweep_plan plan = {*state, .rules = fit_paper, .threads = 2};
  protocol_matches_pytorch(&plan, 1e-9, 1e-7);
}

/* The path is the same, too: as many evaluations, but for where round-off decides. */
static void a_sweep_is_that_of_ref(void **state) {
  regression_need(*state);
  enum { TRAIN = 18, FITTING = 24, DIM = 3, CLASSES = 3 };
  struct samples fitting = regression_samples(FITTING, DIM, CLASSES, CLASSES),
                 test = regression_samples(8, DIM, CLASSES, CLASSES);
  struct sweep_plan plan = {*state, .rules = fit_default, .precondition = true, .threads = 2};
  struct sweep mine, ref;
  REGRESSION_OK(sweep_run(&mine, &plan, &fitting, TRAIN, &test));
  plan.device = "ref";
  REGRESSION_OK(sweep_run(&ref, &plan, &fitting, TRAIN, &test));
  for (int k = 0; k < SWEEP_POINTS; k++) {
    const struct sweep_point *a = &mine.points[k], *b = &ref.points[k];
    assert_close(a->fit.objective / b->fit.objective, 1, 1e-8);
    assert_memory_equal(&a->validation, &b->validation, sizeof a->validation);
    assert_in_range(a->fit.evaluations, b->fit.evaluations - 1, b->fit.evaluations + 1);
  }
  assert_int_equal(mine.best, ref.best);
  for (int i = 0; i < CLASSES * (DIM + 1); i++) assert_close(mine.theta[i], ref.theta[i], 1e-6);
  assert_memory_equal(mine.test_correct, ref.test_correct, CLASSES * sizeof *ref.test_correct);
  sweep_free(&mine);
  sweep_free(&ref);
  regression_free(&fitting);
  regression_free(&test);
}

static void parts_without_images_are_refused(void **state) {
  (void)state;
  const float x[] = {1, 2};
  const int32_t y[] = {0, 1};
  struct samples two = {.x = x, .y = y, .n = 2, .dim = 1, .classes = 2}, none = two;
  none.n = 0;
  struct sweep_plan plan = {.device = "ref", .rules = fit_default};
  struct sweep sweep;
  assert_int_equal(sweep_run(&sweep, &plan, &two, 2, &two), E_ARG);
  assert_int_equal(sweep_run(&sweep, &plan, &two, 0, &two), E_ARG);
  assert_int_equal(sweep_run(&sweep, &plan, &two, 1, &none), E_ARG);
  assert_int_equal(sweep_run(&sweep, &plan, &two, 1, &two), OK); /* one training image, one for validation */
  assert_int_equal(sweep.test_count[0] + sweep.test_count[1], 2);
  sweep_free(&sweep);
}

/* Without the cpu backend this is the emulation, for which one small sweep is enough: thousands of evaluations take it
 * minutes. */
static int check_on(char *device) {
  const struct CMUnitTest small[] = {cmocka_unit_test_prestate(a_sweep_is_that_of_ref, device)},
                          all[] = {
                              cmocka_unit_test_prestate(the_default_protocol_gives_pytorchs_numbers, device),
                              cmocka_unit_test_prestate(the_papers_protocol_gives_pytorchs_numbers, device),
                              small[0], cmocka_unit_test(parts_without_images_are_refused)};
  if (!has_backend(device)) return 0;
  return has_backend("cpu") ? cmocka_run_group_tests_name(device, all, NULL, NULL)
                            : cmocka_run_group_tests_name(device, small, NULL, NULL);
}

int main(void) {
  static char ref[] = "ref", cpu[] = "cpu", cuda[] = "cuda";
  return check_on(ref) + check_on(cpu) + check_on(cuda);
}
