#include "linear/options.h"
#include "test.h"

static const struct command command = {NULL, "", sizeof(struct linear_options), linear_opts, NULL, NULL};

static enum status check(const char *flags) {
  char text[256], *argv[32], *save = NULL;
  int argc = 0;
  struct linear_options o;
  snprintf(text, sizeof text, "--dataset d --out o %s", flags);
  for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) argv[argc++] = word;
  enum status st = cli_parse(&command, argc, argv, &o);
  if (st == OK) st = linear_options_check(&o);
  cli_free(&command, &o);
  return st;
}

static void options_are_checked(void **state) {
  (void)state;
  assert_int_equal(check("--weights w.safetensors"), OK);
  assert_int_equal(check("--weights random:7 --size 32"), OK);
  static const char *const bad[] = {"",
                                    "--weights random:7",
                                    "--weights random: --size 32",
                                    "--weights random:-1 --size 32",
                                    "--weights w --size -1",
                                    "--weights w --batch 0",
                                    "--weights w --threads -1",
                                    "--weights w --val-count -1",
                                    "--weights w --val-fraction 0",
                                    "--weights w --val-fraction 1",
                                    "--weights w --split-seed 4294967296",
                                    "--weights w --metric top5",
                                    "--weights w --test-split train"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (check(bad[i]) != E_ARG) fail_msg("'%s' was accepted", bad[i]);
}

static int64_t held_out(double fraction, int64_t count, int64_t n) {
  const struct linear_options o = {.val_fraction = fraction, .val_count = count, .train_split = "train"};
  int64_t out;
  return validation_count(&o, n, &out) == OK ? out : -1;
}

static void the_validation_part_is_a_count_or_a_share(void **state) {
  (void)state;
  assert_int_equal(held_out(0.1, 0, 5000), 500);
  assert_int_equal(held_out(0.1, 0, 50000), 5000);
  assert_int_equal(held_out(0.1, 0, 14), 1);
  assert_int_equal(held_out(0.1, 0, 15), 2); /* 1.5 is rounded away from zero */
  assert_int_equal(held_out(0.001, 0, 10), 1);
  assert_int_equal(held_out(0.1, 3, 10), 3);
  assert_int_equal(held_out(0.1, 9, 10), 9);
  assert_int_equal(held_out(0.1, 10, 10), -1);
  assert_int_equal(held_out(0.99, 0, 10), -1);
  assert_int_equal(held_out(0.1, 0, 1), -1);
}

static void random_weights_are_told_from_files(void **state) {
  (void)state;
  bool random;
  uint64_t seed;
  assert_int_equal(weights_are_random("random:18446744073709551615", &random, &seed), OK);
  assert_true(random && seed == UINT64_MAX);
  assert_int_equal(weights_are_random("random.safetensors", &random, &seed), OK);
  assert_false(random);
  assert_int_equal(weights_are_random("random:1x", &random, &seed), E_ARG);
  assert_int_equal(weights_are_random("random:99999999999999999999", &random, &seed), E_ARG);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(options_are_checked),
                                     cmocka_unit_test(the_validation_part_is_a_count_or_a_share),
                                     cmocka_unit_test(random_weights_are_told_from_files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
