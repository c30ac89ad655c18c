#include <math.h>

#include <xxhash.h>

#include "ingest/shapes.h"
#include "test.h"

static struct image render(const struct scene *scene, int32_t side, struct box *box) {
  struct image m;
  assert_int_equal(scene_render(scene, side, &m, box), OK);
  return m;
}

/* A white shape on black: its coverage can be summed. */
static struct scene plain(int kind) {
  return (struct scene){
      .kind = kind, .x = 0.5, .y = 0.5, .size = 0.4, .shape = {0, 0, 1}, .background = {0, 0, 0}};
}

/* The bytes do not depend on compiler, CPU or libm. If this changes on
 * purpose, every shapes dataset changes. */
static void bytes_are_the_same_everywhere(void **state) {
  (void)state;
  XXH64_hash_t hash = 0;
  for (uint64_t i = 0; i < 50; i++) {
    struct scene s = scene_draw(7, (uint32_t)(i % 2), 50, i);
    struct box box;
    struct image m = render(&s, 24, &box);
    hash = XXH3_64bits_withSeed(m.pixels, 24 * 24 * 3, hash);
    image_free(&m);
  }
  assert_int_equal(hash, 0xdf3f67cd7817e5f0);
}

static void kinds_have_equal_area(void **state) {
  (void)state;
  for (int k = 0; k < SHAPE_KINDS; k++) {
    struct scene s = plain(k);
    struct box box;
    struct image m = render(&s, 200, &box);
    double sum = 0;
    for (size_t i = 0; i < 200 * 200; i++) sum += m.pixels[3 * i] / 255.0;
    double area = sum / (200.0 * 200.0);
    if (!(fabs(area - 0.16) <= 0.0016)) fail_msg("%s covers %g instead of 0.16", shape_kinds[k], area);
    image_free(&m);
  }
}

static void boxes_are_tight(void **state) {
  (void)state;
  for (int k = 0; k < SHAPE_KINDS; k++) {
    struct scene s = plain(k);
    struct box box;
    s.x = 0.45;
    s.turn = 0.37;
    struct image m = render(&s, 64, &box);
    int left = 64, top = 64, right = -1, bottom = -1;
    for (int y = 0; y < 64; y++)
      for (int x = 0; x < 64; x++)
        if (m.pixels[3 * (64 * y + x)] > 0) {
          left = x < left ? x : left;
          right = x + 1 > right ? x + 1 : right;
          top = y < top ? y : top;
          bottom = y + 1;
        }
    assert_true(box.left >= (float)left && box.left < (float)left + 1);
    assert_true(box.right <= (float)right && box.right > (float)right - 1);
    assert_true(box.top >= (float)top && box.top < (float)top + 1);
    assert_true(box.bottom <= (float)bottom && box.bottom > (float)bottom - 1);
    assert_int_equal(box.class_index, k);
    image_free(&m);
  }
}

/* A quarter of a turn to the left is an exact permutation of pixels when the centre is the image's. */
static void rotation_is_counter_clockwise(void **state) {
  (void)state;
  struct scene upright = plain(9), turned = plain(9); /* the arrow points right; a quarter turned, up */
  struct box box;
  turned.turn = 0.25;
  struct image a = render(&upright, 32, &box), b = render(&turned, 32, &box);
  for (int y = 0; y < 32; y++)
    for (int x = 0; x < 32; x++)
      assert_in_range(b.pixels[3 * (32 * (31 - x) + y)] + 17, a.pixels[3 * (32 * y + x)],
                      a.pixels[3 * (32 * y + x)] + 34);
  image_free(&a);
  image_free(&b);
}

static void scenes_are_balanced_varied_and_visible(void **state) {
  (void)state;
  enum { N = 1000 };
  int classes[SHAPE_KINDS] = {0}, textures[5] = {0};
  double brightness[SHAPE_KINDS] = {0};
  for (uint64_t i = 0; i < N; i++) {
    struct scene s = scene_draw(3, 0, N, i);
    float a[SHAPE_ATTRIBUTES];
    struct box box;
    struct image m = render(&s, 16, &box);
    classes[s.kind]++;
    textures[s.texture]++;
    for (size_t p = 0; p < 16 * 16 * 3; p++)
      brightness[s.kind] += m.pixels[p] / (16 * 16 * 3.0 * 255 * N / 10);
    scene_attributes(&s, a);
    for (int k = 0; k < SHAPE_ATTRIBUTES; k++) assert_true(isfinite(a[k]));
    assert_true(box.left >= 0 && box.top >= 0 && box.right <= 16 && box.bottom <= 16);
    assert_true(box.right - box.left > 3 && box.bottom - box.top > 1.5F);
    image_free(&m);
  }
  for (int k = 0; k < SHAPE_KINDS; k++) {
    assert_int_equal(classes[k], N / SHAPE_KINDS);
    assert_true(fabs(brightness[k] - 0.5) < 0.12); /* tells no class */
  }
  for (int k = 0; k < 5; k++) assert_in_range(textures[k], 150, 250);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_are_the_same_everywhere), cmocka_unit_test(kinds_have_equal_area),
      cmocka_unit_test(boxes_are_tight), cmocka_unit_test(rotation_is_counter_clockwise),
      cmocka_unit_test(scenes_are_balanced_varied_and_visible)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
