#include "base/rng.h"
#include "image/blur.h"
#include "image/color.h"
#include "image/image.h"
#include "image/isa.h"
#include "image/resize.h"
#include "test.h"
#include "wire/self_test.h"

/* A guard around every buffer shows writing beyond the end; an odd start, loops that expect alignment. */
enum { GUARD = 64, MOST = 40 * 37 + 7 };

struct picture {
  float v[3][GUARD + MOST + GUARD + 1];
  struct planes planes;
};

static void make(struct picture *p, struct extent size, uint32_t kind) {
  struct rng r = rng_at(kind, 0, 0, 0);
  for (int c = 0; c < 3; c++)
    for (size_t i = 0; i < sizeof p->v[0] / sizeof(float); i++) {
      uint32_t word = rng_next(&r);
      float x = rng_unit_f32(word);
      p->v[c][i] = kind % 2 && word % 5 == 0 ? (float)(word / 8 % 2) : x; /* with many zeros and ones */
    }
  p->planes =
      (struct planes){size.width, size.height, {p->v[0] + GUARD + 1, p->v[1] + GUARD, p->v[2] + GUARD}};
}

static const struct extent sizes[] = {{1, 1},  {2, 3},   {3, 1},  {7, 5},   {8, 8},  {15, 3},   {16, 2},
                                      {17, 9}, {31, 33}, {33, 7}, {40, 37}, {1, 40}, {1443, 1}, {1024, 1}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const char *sets[ISA_COUNT];
static int n_sets;

static int find_sets(void **state) {
  (void)state;
  for (int i = 0; i < ISA_COUNT; i++)
    if (isa_usable((enum isa)i)) sets[n_sets++] = isa_names[i];
  print_message("instruction sets here: %d\n", n_sets);
  return n_sets ? 0 : -1;
}

static void choose(int set) {
  assert_int_equal(isa_select(sets[set]), OK);
  assert_string_equal(isa_names[isa_chosen()], sets[set]);
}

typedef void in_place(const struct planes *image, float x);
static void gray(const struct planes *image, float x) { (void)x, color_gray(image); }
static void hflip(const struct planes *image, float x) { (void)x, planes_hflip(image); }

static void loops_in_place_give_the_same_bytes(void **state) {
  (void)state;
  static in_place *const loops[] = {color_brightness, color_contrast, color_saturation,
                                    color_hue,        gray,           hflip};
  static const float factors[] = {0, 0.13F, 1, 1.37F, -0.07F};
  static struct picture want, got;
  for (size_t l = 0; l < sizeof loops / sizeof *loops; l++)
    for (uint32_t s = 0; s < SIZES; s++)
      for (int f = 0; f < 5; f++)
        for (int set = 0; set < n_sets; set++) {
          struct picture *p = set ? &got : &want;
          float factor = loops[l] == color_hue ? factors[f] / 3 : factors[f];
          choose(set);
          make(p, sizes[s], s);
          loops[l](&p->planes, factor);
          if (set && memcmp((const void *)want.v, (const void *)got.v, sizeof want.v) != 0)
            fail_msg("loop %zu, %d x %d, factor %g: %s differs", l, sizes[s].width, sizes[s].height,
                     (double)factor, sets[set]);
        }
}

static in_place *const alone[] = {color_brightness, color_contrast, color_saturation, color_hue, gray};

/* In every order, several contrasts among them, more pixels than a block has. */
static void a_chain_is_its_steps_one_by_one(void **state) {
  (void)state;
  static struct picture want, got;
  struct rng r = rng_at(11, 0, 0, 0);
  for (uint32_t i = 0; i < 40 * SIZES; i++) {
    struct color_step steps[6];
    int n = (int)rng_below(rng_next(&r), 7);
    for (int k = 0; k < n; k++) {
      steps[k].kind = (enum color_kind)rng_below(rng_next(&r), 5);
      steps[k].factor = rng_unit_f32(rng_next(&r)) * (steps[k].kind == COLOR_HUE ? 0.5F : 2.0F);
    }
    make(&want, sizes[i % SIZES], i);
    choose(0);
    for (int k = 0; k < n; k++) alone[steps[k].kind](&want.planes, steps[k].factor);
    for (int set = 0; set < n_sets; set++) {
      make(&got, sizes[i % SIZES], i);
      choose(set);
      color_chain(&got.planes, steps, n);
      assert_memory_equal(want.v, got.v, sizeof want.v);
    }
  }
}

static void bytes_and_floats_convert_alike(void **state) {
  (void)state;
  static struct picture want, got;
  static uint8_t bytes[2][3 * MOST + 2 * GUARD];
  for (uint32_t s = 0; s < SIZES; s++) {
    for (int set = 0; set < n_sets; set++) {
      struct picture *p = set ? &got : &want;
      choose(set);
      memset(bytes[set > 0], 0, sizeof *bytes);
      make(p, sizes[s], s);
      planes_to_rgb8(&p->planes, bytes[set > 0] + GUARD + 1);
      planes_from_rgb8(&p->planes, bytes[set > 0] + GUARD + 1, 3 * (size_t)sizes[s].width);
      if (set) assert_memory_equal(bytes[0], bytes[1], sizeof *bytes);
      if (set) assert_memory_equal(want.v, got.v, sizeof want.v);
    }
    for (size_t i = 0; i < GUARD; i++) assert_int_equal(bytes[0][i], 0);
    size_t end = GUARD + 1 + 3 * (size_t)sizes[s].width * (size_t)sizes[s].height;
    for (size_t i = end; i < sizeof *bytes; i++) assert_int_equal(bytes[0][i], 0);
  }
}

static void expect_planes(const struct planes *want, const struct planes *got, const char *what, int set) {
  size_t n = (size_t)want->width * (size_t)want->height;
  for (int c = 0; c < 3; c++)
    if (memcmp(want->plane[c], got->plane[c], n * sizeof(float)) != 0)
      fail_msg("%s, %d x %d: %s differs", what, want->width, want->height, sets[set]);
}

static void blurs_are_the_same_bytes(void **state) {
  (void)state;
  static struct picture p;
  struct workspace work[2];
  memset(work, 0, sizeof work);
  static const int32_t kernels[] = {1, 3, 9, 23, 51};
  for (uint32_t s = 0; s < SIZES; s++)
    for (int k = 0; k < 5; k++) {
      struct planes out[2];
      for (int set = 0; set < n_sets; set++) {
        choose(set);
        make(&p, sizes[s], s);
        assert_int_equal(blur_gaussian(&work[set > 0], &p.planes, kernels[k], 0.3 + k, &out[set > 0]), OK);
        if (set) expect_planes(&out[0], &out[1], "blur", set);
      }
    }
  workspace_free(&work[0]);
  workspace_free(&work[1]);
}

/* Up and down, by little and much, windows, both filters, both kinds of input. */
static void resizes_are_the_same_bytes(void **state) {
  (void)state;
  static struct picture p;
  static uint8_t bytes[3 * MOST + 1];
  struct rng r = rng_at(8, 0, 0, 0);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(rng_next(&r) % 7 ? rng_next(&r) : 255);
  struct workspace work[2];
  memset(work, 0, sizeof work);
  for (uint32_t i = 0; i < 600; i++) {
    struct extent in = sizes[i % SIZES];
    struct extent out = {1 + (int32_t)rng_below(rng_next(&r), 70), 1 + (int32_t)rng_below(rng_next(&r), 50)};
    struct rect window = {(int32_t)rng_below(rng_next(&r), (uint32_t)out.width), 0, 0, out.height};
    window.width = 1 + (int32_t)rng_below(rng_next(&r), (uint32_t)(out.width - window.left));
    struct resize job = {in, out, window, i / 2 % 2 ? FILTER_BICUBIC : FILTER_BILINEAR};
    struct rect have = {0, 0, in.width, in.height};
    struct planes result[2];
    for (int set = 0; set < n_sets; set++) {
      choose(set);
      make(&p, in, i);
      struct workspace *w = &work[set > 0];
      assert_int_equal(i % 2 ? resize_planes(w, &job, &p.planes, have, &result[set > 0])
                             : resize_rgb8(w, &job, bytes + 1, have, &result[set > 0]),
                       OK);
      if (set) expect_planes(&result[0], &result[1], "resize", set);
    }
  }
  workspace_free(&work[0]);
  workspace_free(&work[1]);
}

/* Decoding, sampling and a whole policy: what the handshake compares. */
static void self_tests_agree(void **state) {
  (void)state;
  char want[SELF_TEST_HEX + 1] = "", got[SELF_TEST_HEX + 1];
  for (int set = 0; set < n_sets; set++) {
    choose(set);
    assert_int_equal(self_test(set ? got : want), OK);
    if (set) assert_string_equal(want, got);
  }
}

static void the_best_is_chosen_unless_told_otherwise(void **state) {
  (void)state;
  assert_int_equal(isa_select("auto"), OK);
  assert_string_equal(isa_names[isa_chosen()], sets[n_sets - 1]);
}

static void what_the_cpu_lacks_is_refused(void **state) {
  (void)state;
  assert_int_equal(isa_select("scalar"), OK);
  for (int i = 0; i < ISA_COUNT; i++) {
    if (isa_usable((enum isa)i)) continue;
    assert_int_equal(isa_select(isa_names[i]), E_ARG);
    assert_non_null(strstr(fail_message(), isa_names[i]));
    assert_non_null(strstr(fail_message(), sets[n_sets - 1]));
  }
  assert_int_equal(isa_select("mmx"), E_ARG);
  assert_int_equal(isa_chosen(), ISA_SCALAR);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(loops_in_place_give_the_same_bytes),
                                     cmocka_unit_test(a_chain_is_its_steps_one_by_one),
                                     cmocka_unit_test(bytes_and_floats_convert_alike),
                                     cmocka_unit_test(blurs_are_the_same_bytes),
                                     cmocka_unit_test(resizes_are_the_same_bytes),
                                     cmocka_unit_test(self_tests_agree),
                                     cmocka_unit_test(the_best_is_chosen_unless_told_otherwise),
                                     cmocka_unit_test(what_the_cpu_lacks_is_refused)};
  return cmocka_run_group_tests_name("instruction sets", tests, find_sets, NULL);
}
