#include "train/spread.h"

#include <math.h>

#include "test.h"

enum { PAIRS = 3, DIM = 8 };

static void assert_near(double value, double wanted) {
  if (!(fabs(value - wanted) <= 1e-6)) fail_msg("%.9g is not %.9g", value, wanted);
}

static void a_collapse_is_all_zeros(void **state) {
  (void)state;
  float z[2 * PAIRS * DIM];
  for (int i = 0; i < 2 * PAIRS; i++) /* one direction */
    for (int d = 0; d < DIM; d++) z[i * DIM + d] = (float)((d - 3) * (1 + i));
  struct spread s = spread_of(z, PAIRS, DIM);
  assert_near(s.std, 0);
  assert_near(s.alignment, 0);
  assert_near(s.uniformity, 0);
}

/* Each dimension has its two ones among 2n = 6 numbers: std sqrt(1/3 - 1/9), in 3 of 8 dimensions. Unlike
 * embeddings are at squared distance 2. */
static void orthonormal_embeddings(void **state) {
  (void)state;
  float z[2 * PAIRS * DIM] = {0};
  for (int i = 0; i < 2 * PAIRS; i++) z[i * DIM + i % PAIRS] = 5;
  struct spread s = spread_of(z, PAIRS, DIM);
  assert_near(s.std, sqrt(2.0 / 9) * 3 / 8 * sqrt(8));
  assert_near(s.alignment, 0);
  assert_near(s.uniformity, -4);
}

/* The four ends of a cross, each view on its own line: std 1 in the plane, pairs at squared distance 2, the
 * images of a view at 4. */
static void isotropic_embeddings_have_std_one(void **state) {
  (void)state;
  float z[] = {3, 0, -5, 0, 0, 1, 0, -1};
  struct spread s = spread_of(z, 2, 2);
  assert_near(s.std, 1);
  assert_near(s.alignment, 2);
  assert_near(s.uniformity, -8);
}

/* View 1 at 0 and 60 degrees, view 2 at 0 and 90: distances squared 1 and 2, pairs 0 and 2 - sqrt(3). */
static void uniformity_is_the_mean_of_both_views(void **state) {
  (void)state;
  float half = 0.5F, root = (float)sqrt(0.75);
  float z[] = {1, 0, half, root, 2, 0, 0, 2};
  struct spread s = spread_of(z, 2, 2);
  assert_near(s.alignment, (2 - sqrt(3)) / 2);
  assert_near(s.uniformity, -3);
}

static void zeros_are_numbers_too(void **state) {
  (void)state;
  float z[2 * PAIRS * DIM] = {0};
  struct spread s = spread_of(z, PAIRS, DIM);
  assert_near(s.std, 0);
  assert_true(isfinite(s.uniformity));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_collapse_is_all_zeros), cmocka_unit_test(orthonormal_embeddings),
      cmocka_unit_test(isotropic_embeddings_have_std_one),
      cmocka_unit_test(uniformity_is_the_mean_of_both_views), cmocka_unit_test(zeros_are_numbers_too)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
