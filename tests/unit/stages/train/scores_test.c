#include "train/scores.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "test.h"

enum { MAX_ROWS = 64, MAX_DIM = 16 };

struct set {
  float x[MAX_ROWS * MAX_DIM];
  int32_t y[MAX_ROWS];
  int64_t n;
};

/* A row in the plane, at an angle in degrees and of any length. */
static void put(struct set *s, double degrees, double length, int32_t y) {
  double radians = degrees * acos(-1.0) / 180;
  s->x[2 * s->n] = (float)(length * cos(radians));
  s->x[2 * s->n + 1] = (float)(length * sin(radians));
  s->y[s->n++] = y;
}

static struct scores measure(struct set *bank, struct set *held, int64_t dim, int32_t classes) {
  struct scores s;
  enum status st = scores_measure(&s, &(struct labelled_rows){bank->x, bank->y, bank->n},
                                  &(struct labelled_rows){held->x, held->y, held->n}, dim, classes);
  if (st != OK) fail_msg("%s", fail_message());
  return s;
}

static double knn_of(struct set bank, double degrees, int32_t classes, int32_t y) {
  struct set held = {.n = 0};
  put(&held, degrees, 2, y);
  return measure(&bank, &held, 2, classes).knn;
}

/* One at 30 degrees, exp((cos 30 - 1) / 0.07) = 0.1475, against two at 40 with 0.0353 each and four at 50 with
 * 0.0061 each: 0.1475 to 0.0950. Without weights, and at another temperature (6 at 1: 0.874 to 2.98), the many win. */
static void neighbours_vote_with_their_weight(void **state) {
  (void)state;
  struct set bank = {.n = 0};
  for (int i = 0; i < 4; i++) put(&bank, 50, 1 + i, 0);
  for (int i = 0; i < 2; i++) put(&bank, -40, 1 + i, 0);
  put(&bank, 30, 9, 1);
  assert_true(knn_of(bank, 0, 2, 1) == 1);
  put(&bank, -40, 1, 0);
  put(&bank, -40, 1, 0);
  put(&bank, -40, 1, 0);
  assert_true(knn_of(bank, 0, 2, 0) == 1); /* 0.2010: five of them outvote it */
}

/* Of equally near ones the earlier are the neighbours, and of equal votes the lower class wins. */
static void ties_are_decided_by_order(void **state) {
  (void)state;
  struct set bank = {.n = 0};
  for (int i = 0; i < 20; i++) put(&bank, 10, 1, 1);
  for (int i = 0; i < 40; i++) put(&bank, 10, 1, 0);
  assert_true(knn_of(bank, 10, 2, 1) == 1);
  struct set even = {.n = 0};
  for (int i = 0; i < 6; i++) put(&even, 10, 1, 2 - i % 2);
  assert_true(knn_of(even, 10, 3, 1) == 1);
}

/* m = 30 at 0 degrees of class 0 and one at 90 of class 1. With 30 equal weights a and one b, class 0 solves
 * (2m + l) a + b = 1, m a + (2 + l) b = 0, class 1 the same with 0 and 1, so class 0 ends where
 * (3m + m l) (cos + 1) = (3m + l) (sin + 1): for l = 0.1 between 47 and 48 degrees. */
static void the_probe_is_ridge_regression(void **state) {
  (void)state;
  struct set bank = {.n = 0}, held = {.n = 0};
  for (int i = 0; i < 30; i++) put(&bank, 0, 1 + i, 0);
  put(&bank, 90, 7, 1);
  put(&held, 47, 1, 0);
  put(&held, 48, 1, 1);
  put(&held, 0, 1, 0);
  put(&held, 90, 1, 0);
  assert_true(measure(&bank, &held, 2, 2).probe == 0.75);
}

/* Clusters on three axes, some noise on them; a class without images is never the answer. */
static void separable_features_score_one(void **state) {
  (void)state;
  struct set sets[2] = {{.n = 0}, {.n = 0}};
  for (int k = 0; k < 2; k++)
    for (; sets[k].n < 30; sets[k].n++) {
      int64_t i = sets[k].n;
      sets[k].y[i] = (int32_t)(i % 3);
      for (int d = 0; d < 5; d++) {
        struct philox_block b = philox(1, (uint32_t)k, (uint32_t)i, (uint32_t)d, 0);
        sets[k].x[i * 5 + d] = (float)(d == i % 3) * 3 + rng_unit_f32(b.word[0]);
      }
    }
  struct scores s = measure(&sets[0], &sets[1], 5, 4);
  assert_true(s.knn == 1 && s.probe == 1);
}

static void features_that_are_not_finite_are_refused(void **state) {
  (void)state;
  struct set bank = {.n = 0}, held = {.n = 0};
  put(&bank, 0, 1, 0);
  put(&held, 0, NAN, 0);
  struct scores s;
  assert_int_equal(scores_measure(&s, &(struct labelled_rows){bank.x, bank.y, 1},
                                  &(struct labelled_rows){held.x, held.y, 1}, 2, 2),
                   E_NUMERIC);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(neighbours_vote_with_their_weight), cmocka_unit_test(ties_are_decided_by_order),
      cmocka_unit_test(the_probe_is_ridge_regression), cmocka_unit_test(separable_features_score_one),
      cmocka_unit_test(features_that_are_not_finite_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
