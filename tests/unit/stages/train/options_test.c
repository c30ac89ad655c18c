#include "test.h"
#include "train/train.h"
#include "train/train_options.h"

static enum status parse(struct train_options *o, const char *const *argv) {
  int argc = 0;
  while (argv[argc]) argc++;
  return cli_parse(&train_command, argc, (char **)(uintptr_t)argv, o);
}
#define PARSE(o, ...) parse(o, (const char *const[]){"--out", "x", "--dataset", "y", __VA_ARGS__, NULL})

static void values_out_of_range_are_refused_by_flag(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"--epochs", "0"}, {"--batch", "2"},        {"--batch", "7"}, {"--checkpoint-every", "0"},
      {"--keep", "0"},   {"--seed", "-1"},        {"--size", "-1"}, {"--warmup-epochs", "201"},
      {"--lr", "0"},     {"--weight-decay", "-1"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct train_options o;
    assert_int_equal(PARSE(&o, cases[i][0], cases[i][1]), OK);
    assert_int_equal(train_options_check(&o), E_ARG);
    if (!strstr(fail_message(), cases[i][0])) fail_msg("'%s' does not name %s", fail_message(), cases[i][0]);
    cli_free(&train_command, &o);
  }
}

static void unknown_names_are_refused_with_those_there_are(void **state) {
  (void)state;
  static const char *const cases[][3] = {
      {"--optimizer", "adamw", "adam"}, {"--base", "moco", "simclr"}, {"--method", "dino", "equimod"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct train_options o;
    assert_int_equal(PARSE(&o, cases[i][0], cases[i][1]), E_ARG);
    for (int k = 0; k < 3; k++)
      if (!strstr(fail_message(), cases[i][k]))
        fail_msg("'%s' does not name %s", fail_message(), cases[i][k]);
  }
}

static void every_optimiser_checks_flags_of_its_own(void **state) {
  (void)state;
  static const char *const cases[][3] = {{"lars", "--lars-trust", "0"},
                                         {"lars", "--lars-vector-rate", "0"},
                                         {"adam", "--adam-beta1", "1"},
                                         {"adam", "--adam-beta2", "-0.1"},
                                         {"adam", "--adam-epsilon", "0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct train_options o;
    assert_int_equal(PARSE(&o, "--optimizer", cases[i][0]), OK);
    assert_int_equal(train_options_check(&o), OK);
    cli_free(&train_command, &o);
    assert_int_equal(PARSE(&o, "--optimizer", cases[i][0], cases[i][1], cases[i][2]), OK);
    assert_int_equal(train_options_check(&o), E_ARG);
    assert_non_null(strstr(fail_message(), cases[i][1]));
    cli_free(&train_command, &o);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values_out_of_range_are_refused_by_flag),
                                     cmocka_unit_test(unknown_names_are_refused_with_those_there_are),
                                     cmocka_unit_test(every_optimiser_checks_flags_of_its_own)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
