#include "image/shrink.h"

#include "base/rng.h"
#include "image/resize.h"
#include "test.h"

static void rectangles_grow_to_whole_shrunken_pixels(void **state) {
  (void)state;
  static const struct {
    struct rect in;
    int32_t k;
    struct rect out;
  } cases[] = {{{0, 0, 8, 8}, 8, {0, 0, 1, 1}},
               {{7, 8, 2, 1}, 8, {0, 1, 2, 1}},
               {{3, 5, 10, 1}, 4, {0, 1, 4, 1}},
               {{0, 0, 17, 1}, 2, {0, 0, 9, 1}},
               {{5, 6, 7, 8}, 1, {5, 6, 7, 8}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct rect r = shrink_rect(cases[i].in, cases[i].k);
    assert_memory_equal(&r, &cases[i].out, sizeof r);
  }
}

static void plain_pixels_are_averaged(void **state) {
  (void)state;
  /* 3 x 2 pixels in halves: two whole columns, then one over both rows */
  static const uint8_t pixels[] = {0, 1, 2, 4, 5, 6, 9, 0, 255, 2, 3, 4, 6, 8, 8, 10, 1, 254};
  uint8_t out[6];
  shrink_rgb8(pixels, (struct extent){3, 2}, 2, (struct rect){0, 0, 2, 1}, out);
  static const uint8_t want[] = {3, 4, 5, 10, 1, 255}; /* sums 12, 17, 20 of four; 19, 1, 509 of two */
  assert_memory_equal(out, want, sizeof want);
  shrink_rgb8(pixels, (struct extent){3, 2}, 2, (struct rect){1, 0, 1, 1}, out);
  assert_memory_equal(out, want + 3, 3);
}

/* Of a ramp, resizing the shrunken image gives what resizing the original gives, for crops that begin anywhere:
 * the places are mapped exactly. Near the crop's border the shrunken pixels know a little of what is outside. */
static void crops_of_shrunken_images_lie_where_they_did(void **state) {
  (void)state;
  enum { W = 96, H = 80, OUT = 5 };
  static uint8_t pixels[3 * W * H], small[3 * W * H];
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      uint8_t *p = pixels + 3 * (y * W + x);
      p[0] = (uint8_t)(2 * x);
      p[1] = (uint8_t)(2 * y);
      p[2] = (uint8_t)(x + y);
    }
  struct workspace work = {0};
  for (uint32_t i = 0; i < 60; i++) {
    struct rng r = rng_at(6, i, 0, 0);
    int32_t k = 2 << (i % 3), side = OUT * k + (int32_t)rng_below(rng_next(&r), 80 - OUT * (unsigned)k);
    struct rect crop = {(int32_t)rng_below(rng_next(&r), (uint32_t)(W - side + 1)),
                        (int32_t)rng_below(rng_next(&r), (uint32_t)(H - side + 1)), side, side};
    struct resize job = {{side, side}, {OUT, OUT}, {0, 0, OUT, OUT}, FILTER_BILINEAR};
    struct planes a, b;
    struct rect have = {-crop.left, -crop.top, W, H};
    assert_int_equal(resize_rgb8(&work, &job, pixels, have, &a), OK);
    float middle[3];
    for (int c = 0; c < 3; c++) middle[c] = a.plane[c][OUT * (OUT / 2) + OUT / 2];
    struct rect all = shrink_rect((struct rect){0, 0, W, H}, k);
    shrink_rgb8(pixels, (struct extent){W, H}, k, all, small);
    job.shrink = k;
    job.phase.left = crop.left % k;
    job.phase.top = crop.top % k;
    have = (struct rect){-(crop.left / k), -(crop.top / k), all.width, all.height};
    assert_int_equal(resize_rgb8(&work, &job, small, have, &b), OK);
    /* a tenth of a shrunken pixel, where the ramp climbs two grey levels a pixel; a lost phase makes up to ten
     * times that */
    float tolerance = 0.2F * (float)k / 255;
    for (int c = 0; c < 3; c++) {
      float difference = b.plane[c][OUT * (OUT / 2) + OUT / 2] - middle[c];
      assert_true(difference <= tolerance && difference >= -tolerance);
    }
  }
  workspace_free(&work);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rectangles_grow_to_whole_shrunken_pixels),
                                     cmocka_unit_test(plain_pixels_are_averaged),
                                     cmocka_unit_test(crops_of_shrunken_images_lie_where_they_did)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
