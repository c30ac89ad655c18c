#include "base/rng.h"
#include "image/resize.h"
#include "test.h"

static void check_row(int32_t in, int32_t out, int32_t o, const double *want) {
  double w[16], dense[16] = {0};
  int32_t first, n = resize_taps(in, out, FILTER_BILINEAR, o, &first, w);
  assert_true(first >= 0 && first + n <= in);
  for (int32_t i = 0; i < n; i++) dense[first + i] = w[i];
  for (int32_t i = 0; i < in; i++) assert_true(dense[i] - want[i] < 1e-15 && want[i] - dense[i] < 1e-15);
}

static void bilinear_weights_are_the_known_ones(void **state) {
  (void)state;
  check_row(4, 2, 0, (double[]){3.0 / 7, 3.0 / 7, 1.0 / 7, 0});
  check_row(4, 2, 1, (double[]){0, 1.0 / 7, 3.0 / 7, 3.0 / 7});
  check_row(3, 2, 0, (double[]){.625, .375, 0});
  check_row(3, 2, 1, (double[]){0, .375, .625});
  check_row(2, 4, 0, (double[]){1, 0});
  check_row(2, 4, 1, (double[]){.75, .25});
  check_row(2, 4, 2, (double[]){.25, .75});
  check_row(2, 4, 3, (double[]){0, 1});
}

static uint8_t *noise(size_t n) {
  uint8_t *p = malloc(n);
  struct rng r = rng_at(5, 0, 0, 0);
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)rng_next(&r);
  return p;
}

static void taps_never_exceed_their_room(void **state) {
  (void)state;
  static const int32_t sizes[] = {1, 2, 3, 7, 96, 97, 500, 1023, 4001};
  double *w = malloc(8192 * sizeof *w);
  for (size_t a = 0; a < 9; a++) {
    for (size_t b = 0; b < 9; b++) {
      for (int f = 0; f < 2; f++) {
        int32_t room = resize_max_taps(sizes[a], sizes[b], (enum filter)f), first;
        for (int32_t o = 0; o < sizes[b]; o++) {
          int32_t n = resize_taps(sizes[a], sizes[b], (enum filter)f, o, &first, w);
          assert_true(n >= 1 && n <= room && first >= 0 && first + n <= sizes[a]);
        }
      }
    }
  }
  free(w);
}

static void constant_images_stay_constant(void **state) {
  (void)state;
  struct workspace work = {0};
  uint8_t pixels[3 * 37 * 23];
  memset(pixels, 173, sizeof pixels);
  static const int32_t sizes[] = {1, 2, 11, 37, 64};
  for (int f = 0; f < 2; f++) {
    for (size_t s = 0; s < 5; s++) {
      struct resize job = {
          {37, 23}, {sizes[s], sizes[4 - s]}, {0, 0, sizes[s], sizes[4 - s]}, (enum filter)f};
      struct planes out;
      assert_int_equal(resize_rgb8(&work, &job, pixels, (struct rect){0, 0, 37, 23}, &out), OK);
      uint8_t bytes[3 * 64 * 64];
      planes_to_rgb8(&out, bytes);
      for (int32_t i = 0; i < 3 * out.width * out.height; i++) assert_int_equal(bytes[i], 173);
    }
  }
  workspace_free(&work);
}

static void the_same_size_changes_nothing(void **state) {
  (void)state;
  struct workspace work = {0};
  uint8_t *pixels = noise(3 * 31 * 17), bytes[3 * 31 * 17];
  for (int f = 0; f < 2; f++) {
    struct resize job = {{31, 17}, {31, 17}, {0, 0, 31, 17}, (enum filter)f};
    struct planes out;
    assert_int_equal(resize_rgb8(&work, &job, pixels, (struct rect){0, 0, 31, 17}, &out), OK);
    planes_to_rgb8(&out, bytes);
    assert_memory_equal(bytes, pixels, sizeof bytes);
  }
  free(pixels);
  workspace_free(&work);
}

/* Copies out `part` of a packed image of the given width. */
static uint8_t *cut(const uint8_t *pixels, int32_t width, struct rect part) {
  uint8_t *p = malloc(3 * (size_t)part.width * (size_t)part.height);
  for (int32_t y = 0; y < part.height; y++)
    memcpy(p + 3 * (size_t)y * (size_t)part.width,
           pixels + 3 * ((size_t)(part.top + y) * (size_t)width + (size_t)part.left), 3 * (size_t)part.width);
  return p;
}

/* From exactly the pixels that resize_needs names, at the very end of an allocation, and from a part in
 * between. */
static void a_window_needs_no_more_than_it_says(void **state) {
  (void)state;
  enum { W = 83, H = 61 };
  struct workspace work = {0}, other = {0};
  uint8_t *pixels = noise(3 * W * H);
  static const struct extent outs[] = {{20, 31}, {83, 61}, {150, 40}, {7, 5}};
  for (size_t s = 0; s < 4; s++) {
    for (int f = 0; f < 2; f++) {
      struct rect window = {outs[s].width / 3, outs[s].height / 4, outs[s].width / 2, outs[s].height / 3};
      struct resize job = {{W, H}, outs[s], window, (enum filter)f};
      struct planes full, part;
      assert_int_equal(resize_rgb8(&work, &job, pixels, (struct rect){0, 0, W, H}, &full), OK);
      struct rect need = resize_needs(&job);
      assert_true(need.width < W && need.height < H);
      uint8_t *piece = cut(pixels, W, need);
      assert_int_equal(resize_rgb8(&other, &job, piece, need, &part), OK);
      size_t bytes = (size_t)(window.width * window.height) * sizeof(float);
      for (int c = 0; c < 3; c++) assert_memory_equal(full.plane[c], part.plane[c], bytes);
      free(piece);
    }
  }
  free(pixels);
  workspace_free(&work);
  workspace_free(&other);
}

/* A window of the whole result is the whole result's window. */
static void a_window_is_part_of_the_whole(void **state) {
  (void)state;
  struct workspace work = {0}, other = {0};
  uint8_t *pixels = noise(3 * 40 * 30);
  struct rect have = {0, 0, 40, 30};
  for (int f = 0; f < 2; f++) {
    struct resize all = {{40, 30}, {24, 18}, {0, 0, 24, 18}, (enum filter)f}, some = all;
    some.window = (struct rect){3, 4, 15, 9};
    struct planes a, b;
    assert_int_equal(resize_rgb8(&work, &all, pixels, have, &a), OK);
    assert_int_equal(resize_rgb8(&other, &some, pixels, have, &b), OK);
    for (int c = 0; c < 3; c++)
      for (size_t y = 0; y < 9; y++)
        assert_memory_equal(a.plane[c] + (y + 4) * 24 + 3, b.plane[c] + y * 15, 15 * sizeof(float));
  }
  free(pixels);
  workspace_free(&work);
  workspace_free(&other);
}

static void planes_and_bytes_give_the_same_bilinear_result(void **state) {
  (void)state;
  struct workspace work = {0};
  uint8_t *pixels = noise(3 * 40 * 30);
  struct rect have = {0, 0, 40, 30};
  struct resize job = {{40, 30}, {17, 55}, {0, 0, 17, 55}, FILTER_BILINEAR};
  struct planes a, loaded, b;
  assert_int_equal(resize_rgb8(&work, &job, pixels, have, &a), OK);
  float *copy = malloc(3 * 17 * 55 * sizeof *copy);
  for (size_t c = 0; c < 3; c++) memcpy(copy + c * 17 * 55, a.plane[c], 17 * 55 * sizeof *copy);
  assert_int_equal(workspace_planes(&work, 40, 30, &loaded), OK);
  planes_from_rgb8(&loaded, pixels, 3 * 40);
  workspace_flip(&work);
  assert_int_equal(resize_planes(&work, &job, &loaded, have, &b), OK);
  for (size_t c = 0; c < 3; c++)
    for (size_t i = 0; i < 17 * 55; i++)
      assert_float_equal((double)b.plane[c][i], (double)copy[c * 17 * 55 + i], 1e-6);
  free(copy);
  free(pixels);
  workspace_free(&work);
}

/* The second row of PIL's own result for a black-white-black row: overshoot is clipped, not wrapped. */
static void bicubic_overshoot_is_clipped(void **state) {
  (void)state;
  struct workspace work = {0};
  uint8_t pixels[3 * 8] = {0};
  memset(pixels + 3 * 4, 255, 3 * 4);
  struct resize job = {{8, 1}, {16, 1}, {0, 0, 16, 1}, FILTER_BICUBIC};
  struct planes out;
  assert_int_equal(resize_rgb8(&work, &job, pixels, (struct rect){0, 0, 8, 1}, &out), OK);
  for (int i = 0; i < 16; i++) assert_true(out.plane[0][i] >= 0.0F && out.plane[0][i] <= 1.0F);
  assert_true(out.plane[0][5] == 0.0F && out.plane[0][10] == 1.0F);
  workspace_free(&work);
}

static void bytes_round_half_to_even_and_clamp(void **state) {
  (void)state;
  float v[6] = {-1.0F, 2.0F, 0.5F / 255.0F, 1.5F / 255.0F, 0.6F / 255.0F, 254.6F / 255.0F};
  struct planes p = {6, 1, {v, v, v}};
  uint8_t out[18];
  planes_to_rgb8(&p, out);
  static const uint8_t want[6] = {0, 255, 0, 2, 1, 255};
  for (int i = 0; i < 6; i++) assert_int_equal(out[3 * i], want[i]);
  uint8_t all[3 * 256], back[3 * 256];
  for (int i = 0; i < 256; i++) memset(all + 3 * i, i, 3);
  float room[3][256];
  struct planes q = {256, 1, {room[0], room[1], room[2]}};
  planes_from_rgb8(&q, all, sizeof all);
  planes_to_rgb8(&q, back);
  assert_memory_equal(all, back, sizeof all);
}

static void flip_twice_is_identity_at_odd_and_even_widths(void **state) {
  (void)state;
  for (int32_t width = 1; width <= 9; width++) {
    float v[3][18], was[3][18];
    for (size_t c = 0; c < 3; c++)
      for (size_t i = 0; i < 18; i++) v[c][i] = was[c][i] = (float)(c * 18 + i);
    struct planes p = {width, 2, {v[0], v[1], v[2]}};
    planes_hflip(&p);
    for (int32_t x = 0; x < width; x++) assert_true(v[1][width + x] == was[1][2 * width - 1 - x]);
    planes_hflip(&p);
    assert_memory_equal(v, was, sizeof v);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(bilinear_weights_are_the_known_ones),
                                     cmocka_unit_test(taps_never_exceed_their_room),
                                     cmocka_unit_test(constant_images_stay_constant),
                                     cmocka_unit_test(the_same_size_changes_nothing),
                                     cmocka_unit_test(a_window_needs_no_more_than_it_says),
                                     cmocka_unit_test(a_window_is_part_of_the_whole),
                                     cmocka_unit_test(planes_and_bytes_give_the_same_bilinear_result),
                                     cmocka_unit_test(bicubic_overshoot_is_clipped),
                                     cmocka_unit_test(bytes_round_half_to_even_and_clamp),
                                     cmocka_unit_test(flip_twice_is_identity_at_odd_and_even_widths)};
  return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
