#include "image/lut.h"
#include "test.h"

static void autocontrast_stretches_to_the_ends(void **state) {
  (void)state;
  struct histogram h = {{0}};
  struct lut lut;
  h.count[50] = 3, h.count[100] = 1, h.count[150] = 7;
  lut_autocontrast(&h, &lut); /* scale 2.55, offset -127.5 */
  assert_int_equal(lut.at[50], 0);
  assert_int_equal(lut.at[60], 25); /* 25.5, truncated */
  assert_int_equal(lut.at[100], 127);
  assert_int_equal(lut.at[150], 255);
  assert_int_equal(lut.at[10], 0);
  assert_int_equal(lut.at[200], 255);
}

static void one_value_stays_as_it_is(void **state) {
  (void)state;
  for (int v = 0; v < 256; v += 51) {
    struct histogram h = {{0}};
    struct lut lut;
    h.count[v] = 9000;
    lut_autocontrast(&h, &lut);
    for (int i = 0; i < 256; i++) assert_int_equal(lut.at[i], i);
    lut_equalize(&h, &lut);
    for (int i = 0; i < 256; i++) assert_int_equal(lut.at[i], i);
  }
}

/* 1000 pixels, 490 of them at the highest level: step 510/255 = 2. */
static void equalize_counts_what_lies_below(void **state) {
  (void)state;
  struct histogram h = {{0}};
  struct lut lut;
  h.count[10] = 110, h.count[20] = 400, h.count[30] = 490;
  lut_equalize(&h, &lut);
  assert_int_equal(lut.at[10], 0);
  assert_int_equal(lut.at[20], 55); /* (1 + 110) / 2 */
  assert_int_equal(lut.at[30], 255);
  assert_int_equal(lut.at[255], 255); /* (1 + 1000) / 2, limited */
  h.count[10] = 14, h.count[20] = 240;
  lut_equalize(&h, &lut); /* 254 / 255 = 0: too few pixels */
  assert_int_equal(lut.at[20], 20);
}

/* Methods section 8 (7). */
static void posterize_keeps_high_bits(void **state) {
  (void)state;
  struct lut lut;
  lut_posterize(3, &lut);
  for (int v = 0; v < 256; v++) assert_int_equal(lut.at[v], v & 0xE0);
  lut_posterize(8, &lut);
  for (int v = 0; v < 256; v++) assert_int_equal(lut.at[v], v);
  lut_posterize(0, &lut);
  for (int v = 0; v < 256; v++) assert_int_equal(lut.at[v], 0);
}

static void solarize_inverts_from_the_threshold_on(void **state) {
  (void)state;
  struct lut lut;
  static const int thresholds[] = {0, 1, 128, 255, 256};
  for (int i = 0; i < 5; i++) {
    lut_solarize(thresholds[i], &lut);
    for (int v = 0; v < 256; v++) assert_int_equal(lut.at[v], v < thresholds[i] ? v : 255 - v);
  }
}

/* Planes of whole grey levels whose red, green and blue are three functions of the place. */
static struct planes ramp(struct workspace *work) {
  struct planes p;
  assert_int_equal(workspace_planes(work, 19, 7, &p), OK);
  workspace_flip(work);
  for (int i = 0; i < 19 * 7; i++) {
    p.plane[0][i] = (float)(i % 256) / 255.0F;
    p.plane[1][i] = (float)(i * 7 % 256) / 255.0F;
    p.plane[2][i] = (float)(i / 9 * 13 % 256) / 255.0F;
  }
  return p;
}

static void tables_compose_and_histograms_follow(void **state) {
  (void)state;
  struct workspace work = {0};
  struct planes p = ramp(&work);
  for (int c = 0; c < 3; c++) {
    struct lut both, next;
    struct histogram h, after, counted;
    planes_histogram(&p, c, &h);
    lut_solarize(90, &both);
    lut_posterize(5, &next);
    planes_lut(&p, c, &both);
    planes_lut(&p, c, &next);
    lut_append(&both, &next);
    lut_histogram(&both, &h, &after);
    planes_histogram(&p, c, &counted);
    assert_memory_equal(&after, &counted, sizeof after);
  }
  workspace_free(&work);
}

static void planes_are_rounded_and_limited(void **state) {
  (void)state;
  float x[] = {-1, 0.4F / 255, 0.6F / 255, 2, 127.4F / 255, 127.6F / 255};
  static const int want[] = {255, 255, 254, 0, 128, 127};
  struct planes p = {6, 1, {x, x, x}};
  struct lut lut;
  lut_solarize(0, &lut);
  planes_lut(&p, 0, &lut);
  for (int i = 0; i < 6; i++) assert_true(x[i] == (float)want[i] / 255.0F);
}

static void solarizing_floats_keeps_their_fractions(void **state) {
  (void)state;
  float x[] = {0, 0.25F, 0.5F, 0.75F, 1}, y[5], z[5];
  memcpy(y, x, sizeof x);
  memcpy(z, x, sizeof x);
  struct planes p = {5, 1, {x, y, z}};
  planes_solarize(&p, 0.5F);
  static const float want[] = {0, 0.25F, 0.5F, 0.25F, 0};
  assert_memory_equal(x, want, sizeof want);
  assert_memory_equal(z, want, sizeof want);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(autocontrast_stretches_to_the_ends),
                                     cmocka_unit_test(one_value_stays_as_it_is),
                                     cmocka_unit_test(equalize_counts_what_lies_below),
                                     cmocka_unit_test(posterize_keeps_high_bits),
                                     cmocka_unit_test(solarize_inverts_from_the_threshold_on),
                                     cmocka_unit_test(tables_compose_and_histograms_follow),
                                     cmocka_unit_test(planes_are_rounded_and_limited),
                                     cmocka_unit_test(solarizing_floats_keeps_their_fractions)};
  return cmocka_run_group_tests_name("grey-level tables", tests, NULL, NULL);
}
