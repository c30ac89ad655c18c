/* methods section 8 (5): labels of known crops and colours. */
#include <math.h>

#include "test.h"
#include "train/labels.h"

static const char *const names[] = {
    "crop.cy",          "crop.cx",   "crop.h", "crop.w", "color.brightness", "color.contrast",
    "color.saturation", "color.hue", "gray",   "flip",   "blur.sigma"};
enum { N = sizeof names / sizeof *names };

/* Crops (i,j,h,w) = (0,0,48,48) and (24,48,72,48) of 96 pixels; brightness 1.2 and 1. */
static const float view1[N] = {.25F, .25F, .5F, .5F, .25F, 0, 0, 0, 1, 0, 1.5F},
                   view2[N] = {.625F, .75F, .75F, .5F, 0, 0, 0, 0.125F, 0, 0, .5F};

static void expect(const float *d, const float want[LABEL_COLUMNS]) {
  for (int i = 0; i < LABEL_COLUMNS; i++)
    if (!(fabsf(d[i] - want[i]) < 1e-6F))
      fail_msg("column %d is %g, not %g", i, (double)d[i], (double)want[i]);
}

static void differences_have_known_values(void **state) {
  (void)state;
  struct label_map map;
  float d[LABEL_COLUMNS], p1[N], p2[N];
  assert_int_equal(label_map_make(&map, names, N, 31), OK);
  memcpy(p1, view1, sizeof p1);
  memcpy(p2, view2, sizeof p2);
  label_difference(d, p1, &map, p2, &map);
  expect(d, (const float[LABEL_COLUMNS]){-.375F, -.5F, -.25F, 0, .25F, 0, 0, -.125F, 1, 0, 1, 1});
  p1[9] = 1; /* view 1 flipped: cx mirrored in both */
  label_difference(d, p1, &map, p2, &map);
  expect(d, (const float[LABEL_COLUMNS]){-.375F, .5F, -.25F, 0, .25F, 0, 0, -.125F, 1, 1, 1, 0});
  /* The other direction looks at view 2's flip alone. */
  label_difference(d, p2, &map, p1, &map);
  expect(d, (const float[LABEL_COLUMNS]){.375F, .5F, .25F, 0, -.25F, 0, 0, .125F, -1, -1, -1, 0});
  p2[9] = 1;
  label_difference(d, p2, &map, p1, &map);
  expect(d, (const float[LABEL_COLUMNS]){.375F, -.5F, .25F, 0, -.25F, 0, 0, .125F, -1, 0, -1, 1});
}

static void a_policy_without_flips_has_none(void **state) {
  (void)state;
  struct label_map map;
  float d[LABEL_COLUMNS];
  assert_int_equal(label_map_make(&map, names, 4, 1 << LABEL_CROP), OK);
  label_difference(d, view1, &map, view2, &map);
  expect(d, (const float[LABEL_COLUMNS]){-.375F, -.5F, -.25F, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  assert_int_equal(label_map_make(&map, names, 4, 1 << LABEL_CROP | 1 << LABEL_COLOR), E_ARG);
  assert_non_null(strstr(fail_message(), "no color"));
}

static void given_differences_are_completed(void **state) {
  (void)state;
  static const float given[2 * 10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1};
  float d[2 * LABEL_COLUMNS];
  labels_complete(d, given, 2, 10);
  expect(d, (const float[LABEL_COLUMNS]){1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 1});
  expect(d + LABEL_COLUMNS, (const float[LABEL_COLUMNS]){1, 2, 3, 4, 5, 6, 7, 8, 9, -1, 0, 0});
}

static void lists_name_their_kinds(void **state) {
  (void)state;
  int64_t kinds;
  assert_int_equal(labels_parse(&kinds, "crop,color"), OK);
  assert_int_equal(kinds, 1 << LABEL_CROP | 1 << LABEL_COLOR);
  assert_int_equal(labels_parse(&kinds, "gray,flip,blur"), OK);
  assert_int_equal(kinds, 1 << LABEL_GRAY | 1 << LABEL_FLIP | 1 << LABEL_BLUR);
  static const char *const bad[] = {"", ",", "crop,", "Crop", "crop color", "same"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(labels_parse(&kinds, bad[i]), E_ARG);
    assert_non_null(strstr(fail_message(), "crop, color, blur, flip, gray"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(differences_have_known_values), cmocka_unit_test(a_policy_without_flips_has_none),
      cmocka_unit_test(given_differences_are_completed), cmocka_unit_test(lists_name_their_kinds)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
