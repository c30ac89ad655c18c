#include "sheet/caption.h"

#include "sheet/font.h"
#include "test.h"

static const struct extent square = {96, 96};

static struct policy *parse(const char *ops) {
  char text[1024];
  struct policy *p;
  snprintf(text, sizeof text,
           "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\",\"group\":\"pair\"}%s]}]}", ops);
  if (policy_parse(&p, text) != OK) fail_msg("%s", fail_message());
  return p;
}

static bool has_line(const struct caption *c, const char *want) {
  for (int i = 0; i < c->n_lines; i++)
    if (strlen(want) == c->line[i].length && memcmp(want, c->line[i].text, c->line[i].length) == 0)
      return true;
  return false;
}

static void lines_say_whose_they_are(void **state) {
  (void)state;
  struct policy *p = parse(",{\"op\":\"rotation\",\"group\":\"pair\",\"angle\":[12,12]},{\"op\":\"hflip\"},"
                           "{\"op\":\"grayscale\",\"p\":0}");
  struct view_draw draw;
  policy_sample(p, 1, 0, 0, square, square, &draw);
  draw.crop = (struct rect){24, 0, 48, 96};
  struct caption shared = {.n_lines = 0}, own = shared;
  caption_write(&shared, p, 0, &draw, square, true, 60);
  caption_write(&own, p, 0, &draw, square, false, 60);
  assert_int_equal(shared.n_lines, 2);
  assert_true(has_line(&shared, "crop.cy=0.5 crop.cx=0.5 crop.h=1 crop.w=0.5"));
  assert_true(has_line(&shared, "rotation.angle=12"));
  assert_int_equal(own.n_lines, 1); /* nothing of what was skipped */
  assert_true(has_line(&own, "flip=1"));
  policy_close(&p);
}

static void lines_break_between_words(void **state) {
  (void)state;
  struct policy *p = parse("");
  struct view_draw draw;
  policy_sample(p, 1, 0, 0, square, square, &draw);
  draw.crop = (struct rect){24, 0, 48, 96};
  struct caption c = {.n_lines = 0};
  caption_write(&c, p, 0, &draw, square, true, 25);
  assert_int_equal(c.n_lines, 2);
  assert_true(has_line(&c, "crop.cy=0.5 crop.cx=0.5"));
  assert_true(has_line(&c, "crop.h=1 crop.w=0.5"));
  caption_write(&c, p, 0, &draw, square, true, 9); /* too narrow for a word: cut off */
  assert_int_equal(c.n_lines, 4);
  assert_true(has_line(&c, "crop.cy=0"));
  policy_close(&p);
}

static void augmix_lists_its_chains(void **state) {
  (void)state;
  struct policy *p = parse(",{\"op\":\"augmix\"}");
  struct view_draw draw;
  policy_sample(p, 1, 0, 0, square, square, &draw);
  static const float values[] = {0.5F, 0.25F, 2, 4, -7, 0, 0, 3, 200, 0.75F, 1, 1, 0};
  memcpy(draw.value, values, sizeof values);
  struct caption c = {.n_lines = 0};
  caption_write(&c, p, 0, &draw, square, false, 60);
  assert_int_equal(c.n_lines, 4);
  assert_true(has_line(&c, "augmix.m=0.5"));
  assert_true(has_line(&c, "  0.25: rotate=-7 autocontrast"));
  assert_true(has_line(&c, "  0.75: equalize"));
  policy_close(&p);
}

static int dark(const struct image *image) {
  int n = 0;
  for (int i = 0; i < image->width * image->height; i++) n += image->pixels[3 * i] == 0;
  return n;
}

static void letters_stay_within_the_picture(void **state) {
  (void)state;
  static const uint8_t black[3] = {0, 0, 0};
  uint8_t pixels[3 * 12 * 11];
  struct image image = {12, 11, pixels};
  memset(pixels, 255, sizeof pixels);
  font_draw(&image, 0, 0, " ", 1, 1, black);
  assert_int_equal(dark(&image), 0);
  font_draw(&image, 0, 0, "_", 1, 1, black);
  assert_int_equal(dark(&image), 5);
  memset(pixels, 255, sizeof pixels);
  font_draw(&image, 0, 0, "A", 1, 1, black);
  int small = dark(&image);
  memset(pixels, 255, sizeof pixels);
  font_draw(&image, 0, 0, "a", 1, 1, black);
  assert_int_equal(dark(&image), small);
  for (int at = -30; at < 30; at++) font_draw(&image, at, at / 2, "every letter", 12, 3, black);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_say_whose_they_are), cmocka_unit_test(lines_break_between_words),
      cmocka_unit_test(augmix_lists_its_chains), cmocka_unit_test(letters_stay_within_the_picture)};
  return cmocka_run_group_tests_name("captions", tests, NULL, NULL);
}
