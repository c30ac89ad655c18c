#include "base/rng.h"
#include "image/blur.h"
#include "image/color.h"
#include "test.h"

/* Methods section 8 (3): a = (.2,.4,.6), b = (.8,.1,.3) as one image of two pixels. */
static struct planes two_pixels(float v[3][2]) {
  static const float a[3] = {.2F, .4F, .6F}, b[3] = {.8F, .1F, .3F};
  for (int c = 0; c < 3; c++) {
    v[c][0] = a[c];
    v[c][1] = b[c];
  }
  return (struct planes){2, 1, {v[0], v[1], v[2]}};
}

static void check(const float v[3][2], const double a[3], const double b[3]) {
  for (int c = 0; c < 3; c++) {
    if (a) assert_float_equal((double)v[c][0], a[c], 1e-6);
    if (b) assert_float_equal((double)v[c][1], b[c], 1e-6);
  }
}

static void known_colours(void **state) {
  (void)state;
  float v[3][2];
  struct planes p = two_pixels(v);
  color_gray(&p);
  check(v, (double[]){.36298, .36298, .36298}, (double[]){.33202, .33202, .33202});
  p = two_pixels(v);
  color_brightness(&p, 1.3F);
  check(v, (double[]){.26, .52, .78}, (double[]){1, .13, .39});
  p = two_pixels(v);
  color_contrast(&p, .5F);
  check(v, (double[]){.27375, .37375, .47375}, (double[]){.57375, .22375, .32375});
  p = two_pixels(v);
  color_saturation(&p, .5F);
  check(v, (double[]){.28149, .38149, .48149}, NULL);
  p = two_pixels(v);
  color_hue(&p, .1F);
  check(v, (double[]){.24, .2, .6}, (double[]){.8, .32, .1});
}

enum { SIDE = 37, N = SIDE * SIDE };

static struct planes noise(float v[3][N]) {
  struct rng r = rng_at(3, 0, 0, 0);
  for (int c = 0; c < 3; c++)
    for (int i = 0; i < N; i++) v[c][i] = rng_unit_f32(rng_next(&r));
  return (struct planes){SIDE, SIDE, {v[0], v[1], v[2]}};
}

static void neutral_factors_are_identity(void **state) {
  (void)state;
  static float v[3][N], was[3][N];
  struct planes p = noise(v);
  memcpy(was, v, sizeof v);
  color_brightness(&p, 1);
  color_contrast(&p, 1);
  color_saturation(&p, 1);
  color_hue(&p, 0);
  assert_memory_equal(v, was, sizeof v);
}

static void hue_there_and_back_restores(void **state) {
  (void)state;
  static float v[3][N], was[3][N];
  struct planes p = noise(v);
  for (int c = 0; c < 3; c++) v[c][5] = 0.25F; /* grey has no hue */
  memcpy(was, v, sizeof v);
  static const float turns[] = {.01F, .1F, .33F, .5F};
  for (size_t t = 0; t < 4; t++) {
    color_hue(&p, turns[t]);
    for (int c = 0; c < 3; c++) assert_true(v[c][5] == 0.25F);
    color_hue(&p, -turns[t]);
    for (int c = 0; c < 3; c++)
      for (int i = 0; i < N; i++) assert_float_equal((double)v[c][i], (double)was[c][i], 4e-6);
  }
}

static void hue_stays_in_range(void **state) {
  (void)state;
  static float v[3][N];
  for (int k = -10; k <= 10; k++) {
    struct planes p = noise(v);
    color_hue(&p, (float)k * .05F);
    for (int c = 0; c < 3; c++)
      for (int i = 0; i < N; i++) assert_true(v[c][i] >= 0 && v[c][i] <= 1);
  }
}

/* The mean is the image's, whatever its size: against a plain double loop. */
static void contrast_uses_the_mean_of_the_image(void **state) {
  (void)state;
  static float v[3][N];
  static const int32_t widths[] = {1, 15, 16, 17, 1023, 1024, 1025, N};
  for (size_t s = 0; s < sizeof widths / sizeof *widths; s++) {
    struct planes p = noise(v);
    p.width = widths[s];
    p.height = 1;
    double mean = 0, first = (double)v[0][0];
    for (int i = 0; i < p.width; i++)
      mean += (.2989 * (double)v[0][i] + .587 * (double)v[1][i] + .114 * (double)v[2][i]) / p.width;
    color_contrast(&p, .25F);
    assert_float_equal((double)v[0][0], .25 * first + .75 * mean, 1e-6);
  }
}

static void blur_weights_are_the_known_ones(void **state) {
  (void)state;
  double w[5];
  static const double want[5] = {.398943, .241971, .053991, .004432, .000134};
  blur_weights(9, 1, w);
  for (int i = 0; i < 5; i++) assert_float_equal(w[i], want[i], 5e-7);
  assert_float_equal(w[0] + 2 * (w[1] + w[2] + w[3] + w[4]), 1, 1e-15);
}

static void narrow_blur_is_identity(void **state) {
  (void)state;
  static float v[3][N];
  struct workspace work = {0};
  struct planes p = noise(v), out;
  assert_int_equal(blur_gaussian(&work, &p, 9, .1, &out), OK);
  for (int c = 0; c < 3; c++) assert_memory_equal(out.plane[c], v[c], sizeof v[c]);
  workspace_free(&work);
}

static int mirrored(int i, int n) {
  while (n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
  return n > 1 ? i : 0;
}

/* Against the two-dimensional definition, at sizes down to one pixel and kernels longer than the image. */
static void blur_is_the_mirrored_convolution(void **state) {
  (void)state;
  static float v[3][N];
  struct workspace work = {0};
  static const struct extent sizes[] = {{1, 1}, {2, 1}, {1, 3}, {5, 4}, {17, 9}};
  static const int kernels[] = {1, 3, 9, 23};
  for (size_t s = 0; s < 5; s++) {
    for (size_t k = 0; k < 4; k++) {
      struct planes p = noise(v), out;
      int half = kernels[k] / 2;
      double w[16];
      p.width = sizes[s].width;
      p.height = sizes[s].height;
      blur_weights(kernels[k], 1.7, w);
      assert_int_equal(blur_gaussian(&work, &p, kernels[k], 1.7, &out), OK);
      for (int y = 0; y < p.height; y++) {
        for (int x = 0; x < p.width; x++) {
          double sum = 0;
          for (int dy = -half; dy <= half; dy++)
            for (int dx = -half; dx <= half; dx++)
              sum += w[abs(dy)] * w[abs(dx)] *
                     (double)v[1][mirrored(y + dy, p.height) * p.width + mirrored(x + dx, p.width)];
          assert_float_equal((double)out.plane[1][y * p.width + x], sum, 2e-6);
        }
      }
    }
  }
  workspace_free(&work);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(known_colours),
                                     cmocka_unit_test(neutral_factors_are_identity),
                                     cmocka_unit_test(hue_there_and_back_restores),
                                     cmocka_unit_test(hue_stays_in_range),
                                     cmocka_unit_test(contrast_uses_the_mean_of_the_image),
                                     cmocka_unit_test(blur_weights_are_the_known_ones),
                                     cmocka_unit_test(narrow_blur_is_identity),
                                     cmocka_unit_test(blur_is_the_mirrored_convolution)};
  return cmocka_run_group_tests_name("colour and blur", tests, NULL, NULL);
}
