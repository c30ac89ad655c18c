#include "test.h"
#include "transform/short_side.h"
#include "transform/step.h"

static void steps_parse(void **state) {
  (void)state;
  struct step s;
  assert_int_equal(step_parse(&s, "grayscale"), OK);
  assert_string_equal(s.op->name, "grayscale");
  assert_int_equal(step_parse(&s, "gaussian_blur:sigma=0.7,kernel=9"), OK);
  assert_true(s.value[0] == .7F && s.args.low[0] == 9);
  assert_int_equal(step_parse(&s, "resize_short:size=7,filter=bicubic"), OK);
  assert_true(s.args.low[1] == FILTER_BICUBIC);
  assert_int_equal(step_parse(&s, "rotate90:turns=3"), OK);
  assert_true(s.value[0] == 3);
  assert_int_equal(step_parse(&s, "translate_x:pixels=-2.5"), OK);
  assert_true(s.value[0] == -2.5F);
  assert_int_equal(step_parse(&s, "resize_short:size=7"), OK);
  assert_true(s.args.low[1] == FILTER_BILINEAR);
}

static void mistakes_are_named(void **state) {
  (void)state;
  static const struct {
    const char *text, *names;
  } bad[] = {{"", "no operation ''"},
             {"flip", "brightness, contrast"},
             {"random_resized_crop", "no operation"},
             {"grayscale:x=1", "takes no parameters"},
             {"brightness", "needs factor="},
             {"brightness:factor", "not key=value"},
             {"brightness:factor=", "not a number"},
             {"brightness:factor=a", "not a number"},
             {"brightness:factor=1x", "not a number"},
             {"brightness:factor=nan", "must lie"},
             {"brightness:factor=inf", "must lie"},
             {"brightness:factor=-1", "must lie"},
             {"brightness:strength=1", "its parameters are factor"},
             {"hue:factor=0.51", "between -0.5 and 0.5"},
             {"gaussian_blur:kernel=9", "needs sigma="},
             {"gaussian_blur:kernel=8,sigma=1", "odd"},
             {"resized_crop:top=0,left=0,height=1,width=1", "needs size="},
             {"resized_crop:top=0,left=0.5,height=1,width=1,size=1", "whole number"},
             {"resized_crop:top=0,left=0,height=0,width=1,size=1", "height=0"},
             {"rotate90:turns=1.5", "whole"},
             {"rotate90:turns=4", "between 0 and 3"},
             {"rotation", "needs angle="},
             {"solarize", "needs threshold="},
             {"solarize:threshold=257", "between 0 and 256"},
             {"posterize:bits=9", "between 0 and 8"},
             {"posterize:bits=2.5", "whole number"},
             {"autocontrast:cutoff=1", "takes no parameters"},
             {"augmix", "no operation 'augmix'"},
             {"resize_short:size=8,filter=cubic", "bilinear|bicubic"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct step s;
    if (step_parse(&s, bad[i].text) != E_ARG) fail_msg("accepted, or another code: %s", bad[i].text);
    if (!strstr(fail_message(), bad[i].names))
      fail_msg("%s: '%s' does not name %s", bad[i].text, fail_message(), bad[i].names);
  }
}

static void a_crop_outside_the_image_is_refused(void **state) {
  (void)state;
  uint8_t pixels[3 * 6] = {0};
  struct workspace work = {0};
  struct source source = {pixels, {0, 0, 3, 2}, {3, 2}};
  static const char *const bad[] = {"resized_crop:top=0,left=0,height=3,width=3,size=4",
                                    "resized_crop:top=2,left=0,height=1,width=1,size=4",
                                    "resized_crop:top=0,left=65535,height=65535,width=65535,size=1"};
  for (int i = 0; i < 3; i++) {
    struct step s;
    struct canvas canvas = {.source = &source, .work = &work};
    assert_int_equal(step_parse(&s, bad[i]), OK);
    assert_int_equal(step_apply(&s, &canvas), E_ARG);
    assert_non_null(strstr(fail_message(), "resized_crop: pixels"));
    assert_int_equal(canvas_load(&canvas), OK);
    assert_int_equal(step_apply(&s, &canvas), E_ARG); /* of planes as well */
  }
  workspace_free(&work);
}

static void short_sides_are_truncated_and_offsets_rounded_half_to_even(void **state) {
  (void)state;
  struct extent e = short_side_extent((struct extent){200, 140}, 96);
  assert_int_equal(e.width, 137);
  assert_int_equal(e.height, 96);
  e = short_side_extent((struct extent){7, 3000}, 96);
  assert_int_equal(e.width, 96);
  assert_int_equal(e.height, 41142);
  static const int32_t want[] = {0, 0, 1, 2, 2, 2, 3, 4, 4};
  for (int32_t i = 0; i < 9; i++) assert_int_equal(short_side_offset(96 + i, 96), want[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_parse), cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(a_crop_outside_the_image_is_refused),
      cmocka_unit_test(short_sides_are_truncated_and_offsets_rounded_half_to_even)};
  return cmocka_run_group_tests_name("given transformations", tests, NULL, NULL);
}
