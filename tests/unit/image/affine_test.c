#include "base/rng.h"
#include "image/affine.h"
#include "image/isa.h"
#include "image/quarter_turn.h"
#include "test.h"

static struct workspace work;

static int clear(void **state) {
  (void)state;
  workspace_free(&work);
  return 0;
}

static struct planes noise(struct extent size) {
  struct planes p;
  struct rng r = rng_at(5, 0, 0, 0);
  assert_int_equal(workspace_planes(&work, size.width, size.height, &p), OK);
  workspace_flip(&work);
  for (int c = 0; c < 3; c++)
    for (int i = 0; i < size.width * size.height; i++) p.plane[c][i] = (float)(rng_next(&r) >> 24) / 255.0F;
  return p;
}

static struct words words_of(const struct planes *p, uint32_t *memory) {
  struct words w = words_in(memory, (struct extent){p->width, p->height});
  for (int32_t y = 0; y < p->height; y++)
    for (int32_t x = 0; x < p->width; x++) {
      size_t i = (size_t)y * (size_t)p->width + (size_t)x;
      uint32_t word = 0;
      for (int c = 0; c < 3; c++) word |= (uint32_t)(p->plane[c][i] * 255.0F + 0.5F) << 8 * c;
      w.at[y * w.stride + x] = word;
    }
  return w;
}

static const struct extent sizes[] = {{1, 1}, {1, 7}, {9, 1}, {3, 5}, {24, 24}, {70, 33}, {129, 40}};
enum { SIZES = sizeof sizes / sizeof *sizes, MOST = 131 * 42 };

/* Methods section 8 (7): by 3, a picture moves 3 to the left and leaves black. */
static void translations_shift(void **state) {
  (void)state;
  static const int shifts[][2] = {{3, 0}, {-3, 0}, {0, 2}, {0, -2}, {-1, 1}, {200, 0}, {0, -200}, {0, 0}};
  for (size_t s = 0; s < SIZES; s++)
    for (size_t k = 0; k < sizeof shifts / sizeof *shifts; k++) {
      struct planes in = noise(sizes[s]), out;
      static uint32_t memory[2][MOST];
      struct words from = words_of(&in, memory[0]), to = words_in(memory[1], sizes[s]);
      struct affine map = affine_translation(shifts[k][0], shifts[k][1]);
      affine_words(&from, &map, &to);
      assert_int_equal(affine_planes(&work, &in, &map, &out), OK);
      for (int32_t y = 0; y < in.height; y++)
        for (int32_t x = 0; x < in.width; x++) {
          int32_t u = x + shifts[k][0], v = y + shifts[k][1];
          bool inside = u >= 0 && u < in.width && v >= 0 && v < in.height;
          size_t at = (size_t)y * (size_t)in.width + (size_t)x;
          assert_true(out.plane[1][at] == (inside ? in.plane[1][v * in.width + u] : 0));
          assert_int_equal(to.at[y * to.stride + x], inside ? from.at[v * from.stride + u] : 0);
        }
    }
}

static void right_angles_are_quarter_turns(void **state) {
  (void)state;
  for (int turns = -4; turns <= 4; turns++) {
    struct planes in = noise((struct extent){24, 24}), out;
    struct affine map = affine_rotation((struct extent){24, 24}, 90 * turns);
    assert_int_equal(affine_planes(&work, &in, &map, &out), OK);
    float got[3][24 * 24];
    for (int c = 0; c < 3; c++) memcpy(got[c], out.plane[c], sizeof *got);
    in = noise((struct extent){24, 24});
    assert_int_equal(quarter_turn(&work, &in, turns & 3, &out), OK);
    for (int c = 0; c < 3; c++) assert_memory_equal(got[c], out.plane[c], sizeof *got);
  }
}

/* A slope stays a slope: bilinear interpolation has no error there. */
static void slopes_are_interpolated_exactly(void **state) {
  (void)state;
  struct planes in = noise((struct extent){40, 40}), out;
  for (int y = 0; y < 40; y++)
    for (int x = 0; x < 40; x++) in.plane[0][40 * y + x] = (float)(x + 2 * y) / 256;
  struct affine map = affine_rotation((struct extent){40, 40}, 30);
  assert_int_equal(affine_planes(&work, &in, &map, &out), OK);
  for (int y = 8; y < 32; y++)
    for (int x = 8; x < 32; x++) {
      double dx = x + .5 - 20, dy = y + .5 - 20, c = 0.86602540378443864676, s = .5;
      double u = 19.5 + dx * c - dy * s, v = 19.5 + dx * s + dy * c;
      assert_float_equal((double)out.plane[0][40 * y + x], (u + 2 * v) / 256, 1e-6);
    }
}

static struct affine map_of(uint32_t i, struct extent size) {
  double x = (double)i / 7 - 10;
  switch (i % 4) {
  case 0: return affine_rotation(size, 13 * x);
  case 1: return affine_shear_x(x / 17);
  case 2: return affine_shear_y(x / 17);
  default: return affine_translation(x, -x / 3);
  }
}

/* In 8 bits the same as in float, truncated, but for values that rounding puts on either side of a level. */
static void words_are_truncated_floats(void **state) {
  (void)state;
  static uint32_t memory[2][MOST];
  for (uint32_t i = 0; i < 140; i++) {
    struct extent size = sizes[i % SIZES];
    struct planes in = noise(size), out;
    struct words from = words_of(&in, memory[0]), to = words_in(memory[1], size);
    struct affine map = map_of(i, size);
    affine_words(&from, &map, &to);
    assert_int_equal(affine_planes(&work, &in, &map, &out), OK);
    for (int32_t k = 0; k < size.width * size.height; k++) {
      uint32_t word = to.at[k / size.width * to.stride + k % size.width];
      for (int c = 0; c < 3; c++) {
        int got = (int)(word >> 8 * c & 255);
        double exact = 255 * (double)out.plane[c][k];
        assert_true(got == (int)(exact + 1e-4) || got == (int)(exact - 1e-4));
      }
    }
  }
}

static void every_instruction_set_gives_the_same_bytes(void **state) {
  (void)state;
  static uint32_t memory[3][MOST];
  for (uint32_t i = 0; i < 70; i++) {
    struct extent size = sizes[i % SIZES];
    bool first = true;
    static float want[3][MOST];
    size_t n = (size_t)size.width * (size_t)size.height;
    for (int set = 0; set < ISA_COUNT; set++) {
      if (!isa_usable((enum isa)set)) continue;
      assert_int_equal(isa_select(isa_names[set]), OK);
      struct planes in = noise(size), out;
      memset(memory[1 + !first], 0, sizeof *memory);
      struct words from = words_of(&in, memory[0]), to = words_in(memory[1 + !first], size);
      struct affine map = map_of(i, size);
      affine_words(&from, &map, &to);
      assert_int_equal(affine_planes(&work, &in, &map, &out), OK);
      for (int c = 0; c < 3; c++) {
        if (first) memcpy(want[c], out.plane[c], n * sizeof **want);
        assert_memory_equal(want[c], out.plane[c], n * sizeof **want);
      }
      if (!first) assert_memory_equal(memory[1], memory[2], sizeof *memory); /* nothing beyond the image */
      first = false;
    }
  }
  assert_int_equal(isa_select("auto"), OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(translations_shift), cmocka_unit_test(right_angles_are_quarter_turns),
      cmocka_unit_test(slopes_are_interpolated_exactly), cmocka_unit_test(words_are_truncated_floats),
      cmocka_unit_test(every_instruction_set_gives_the_same_bytes)};
  return cmocka_run_group_tests_name("affine transformations", tests, NULL, clear);
}
