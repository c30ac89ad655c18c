#include "test.h"
#include "train/train.h"
#include "train/train_options.h"

static enum status parse(struct train_options *o, const char *const *argv) {
  int argc = 0;
  while (argv[argc]) argc++;
  return cli_parse(&train_command, argc, (char **)(uintptr_t)argv, o);
}
#define PARSE(o, ...) parse(o, (const char *const[]){"--out", "x", "--dataset", "y", __VA_ARGS__, NULL})

/* methods sections 3 and 5. */
static void presets_are_the_papers_settings_and_its_codes(void **state) {
  (void)state;
  struct train_options o;
  assert_int_equal(PARSE(&o, "--preset", "stl10/paper"), OK);
  assert_string_equal(o.method.projector, "512-512-128");
  assert_string_equal(o.method.trans_backbone, "512-512-128");
  assert_string_equal(o.method.trans_projector, "128-128");
  assert_true(o.method.weight[TERM_INV] == 1 && o.method.weight[TERM_EQUI] == 1 &&
              o.method.weight[TERM_TRANS] == 0.2);
  assert_true(o.method.temperature == 0.2 && o.optimiser.lr == 0.03 && o.optimiser.momentum == 0.9 &&
              o.optimiser.weight_decay == 5e-4);
  assert_true(o.batch == 256 && o.epochs == 200 && o.size == 96 && o.model.width == 64 &&
              o.warmup_epochs == 0);
  assert_int_equal(o.splits.count, 2);
  assert_string_equal(o.splits.items[1], "unlabeled");
  assert_int_equal(train_options_check(&o), OK);
  cli_free(&train_command, &o);

  assert_int_equal(PARSE(&o, "--preset", "stl10/code", "--splits", "train", "--epochs", "3"), OK);
  assert_string_equal(o.method.projector, "512-128");
  assert_string_equal(o.method.trans_backbone, "128-128");
  assert_true(o.method.weight[TERM_TRANS] == 0.1 && o.epochs == 3);
  assert_int_equal(o.splits.count, 1);
  cli_free(&train_command, &o);
}

static void values_out_of_range_are_refused_by_flag(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"--epochs", "0"}, {"--batch", "2"}, {"--batch", "7"}, {"--checkpoint-every", "0"},
      {"--keep", "0"},   {"--seed", "-1"}, {"--size", "-1"}, {"--warmup-epochs", "201"},
      {"--lr", "0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct train_options o;
    assert_int_equal(PARSE(&o, cases[i][0], cases[i][1]), OK);
    assert_int_equal(train_options_check(&o), E_ARG);
    if (!strstr(fail_message(), cases[i][0])) fail_msg("'%s' does not name %s", fail_message(), cases[i][0]);
    cli_free(&train_command, &o);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(presets_are_the_papers_settings_and_its_codes),
                                     cmocka_unit_test(values_out_of_range_are_refused_by_flag)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
