#include "base/cli.h"

#include <math.h>

#include "test.h"

struct inner {
  int64_t width;
};
struct state {
  int64_t count;
  double rate;
  const char *name, *method, *input;
  bool shuffle, quiet;
  struct cli_list splits, rest;
  struct inner inner;
};

static const struct opt inner_opts[] = {{"width", OPT_INT, offsetof(struct inner, width), "64", "channels"},
                                        {0}};
static const struct opt opts[] = {
    {"count", OPT_INT, offsetof(struct state, count), "3", "how many"},
    {"rate", OPT_FLOAT, offsetof(struct state, rate), "0.5", "per step"},
    {"name", OPT_STR, offsetof(struct state, name), NULL, "what to call it", .required = true},
    {"method", OPT_STR, offsetof(struct state, method), "stl", "which", "simclr|stl"},
    {"shuffle", OPT_BOOL, offsetof(struct state, shuffle), "true", "in random order"},
    {"quiet", OPT_BOOL, offsetof(struct state, quiet), NULL, "say less"},
    {"splits", OPT_LIST, offsetof(struct state, splits), NULL, "which parts"},
    {"model", OPT_TABLE, offsetof(struct state, inner), .sub = inner_opts},
    {"input", OPT_STR, offsetof(struct state, input), NULL, "what to read", .positional = true},
    {0}};
static const struct preset_value small[] = {
    {"count", "9"}, {"width", "16"}, {"splits", "a"}, {"splits", "b"}, {NULL, NULL}};
static const struct preset presets[] = {{"small", "a small one", small}, {0}};
static const struct command command = {"run", "tests", sizeof(struct state), opts, presets, NULL};

static enum status parse(struct state *s, const char *const *argv) {
  int argc = 0;
  while (argv[argc]) argc++;
  return cli_parse(&command, argc, (char **)(uintptr_t)argv, s);
}
#define PARSE(s, ...) parse(s, (const char *const[]){__VA_ARGS__, NULL})

static void defaults_hold_where_no_flag_is_given(void **state) {
  (void)state;
  struct state s;
  assert_int_equal(PARSE(&s, "--name", "x"), OK);
  assert_int_equal(s.count, 3);
  assert_true(s.rate == 0.5 && s.shuffle && !s.quiet && s.inner.width == 64 && !s.input);
  assert_string_equal(s.method, "stl");
  cli_free(&command, &s);
}

static void flags_take_values_in_both_forms(void **state) {
  (void)state;
  struct state s;
  assert_int_equal(PARSE(&s, "--name=x", "--count", "-7", "--no-shuffle", "--quiet", "--splits", "a",
                         "--splits=b", "--width", "8", "file"),
                   OK);
  assert_true(s.count == -7 && !s.shuffle && s.quiet && s.splits.count == 2 && s.inner.width == 8);
  assert_string_equal(s.splits.items[1], "b");
  assert_string_equal(s.input, "file");
  cli_free(&command, &s);
}

static void explicit_flags_win_over_a_preset_wherever_they_stand(void **state) {
  (void)state;
  struct state s;
  assert_int_equal(PARSE(&s, "--width", "5", "--preset", "small", "--name", "x"), OK);
  assert_true(s.count == 9 && s.inner.width == 5 && s.splits.count == 2);
  assert_string_equal(s.splits.items[1], "b");
  cli_free(&command, &s);
}

static void a_list_given_by_flags_replaces_the_presets(void **state) {
  (void)state;
  struct state s;
  assert_int_equal(PARSE(&s, "--splits", "c", "--preset", "small", "--splits", "d", "--name", "x"), OK);
  assert_int_equal(s.splits.count, 2);
  assert_string_equal(s.splits.items[0], "c");
  assert_string_equal(s.splits.items[1], "d");
  cli_free(&command, &s);
}

static void mistakes_are_refused_with_the_flag_named(void **state) {
  (void)state;
  static const struct {
    const char *argv[4], *says;
  } table[] = {{{"--name", "x", "--cuont=3"}, "--cuont"},
               {{"--name", "x", "--count=3x"}, "--count: '3x' is not a whole number"},
               {{"--name", "x", "--count=99999999999999999999"}, "--count"},
               {{"--name", "x", "--rate=nan"}, "--rate"},
               {{"--name", "x", "--method=byol"}, "simclr|stl"},
               {{"--name=x", "--quiet=yes"}, "--quiet: 'yes' is not true or false"},
               {{"--name"}, "--name needs a value"},
               {{"--count=1"}, "--name is required"},
               {{"--name=x", "one", "two"}, "unexpected argument 'two'"},
               {{"--name=x", "--preset", "huge"}, "no 'huge'; known: small"}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct state s;
    assert_int_equal(parse(&s, table[i].argv), E_ARG);
    assert_non_null(strstr(fail_message(), table[i].says));
    cli_free(&command, &s);
  }
}

struct entry {
  double rate;
  struct cli_list names;
};
struct registry_state {
  int64_t count;
  struct entry entries[3];
};
static const struct opt first_opts[] = {
    {"first-rate", OPT_FLOAT, offsetof(struct entry, rate), "auto", "a rate"},
    {"first-name", OPT_LIST, offsetof(struct entry, names), NULL, "names"},
    {0}};
static const struct opt third_opts[] = {
    {"third-rate", OPT_FLOAT, offsetof(struct entry, rate), "3", "a rate"}, {0}};
static const struct opt *entry_opts(size_t i) {
  static const struct opt *const all[] = {first_opts, opt_none, third_opts, NULL};
  return all[i];
}
static const struct opt registry_opts[] = {
    {"count", OPT_INT, offsetof(struct registry_state, count), "3", "how many"},
    {"entries", OPT_TABLE, offsetof(struct registry_state, entries), .tables = entry_opts,
     .stride = sizeof(struct entry)},
    {0}};

static void a_registrys_entries_have_options_of_their_own(void **state) {
  (void)state;
  const struct command c = {"run", "tests", sizeof(struct registry_state), registry_opts, NULL, NULL};
  static const char *const argv[] = {"--third-rate", "7",   "--first-name", "a", "--first-name=b",
                                     "--first-rate", "auto"};
  struct registry_state s;
  assert_int_equal(cli_parse(&c, 0, (char **)(uintptr_t)argv, &s), OK);
  assert_true(isnan(s.entries[0].rate) && s.entries[1].rate == 0 && s.entries[2].rate == 3 && s.count == 3);
  cli_free(&c, &s);
  assert_int_equal(cli_parse(&c, 7, (char **)(uintptr_t)argv, &s), OK);
  assert_true(isnan(s.entries[0].rate) && s.entries[2].rate == 7 && s.entries[0].names.count == 2);
  cli_free(&c, &s);
  /* Only where it is the default. */
  assert_int_equal(cli_parse(&c, 2, (char **)(uintptr_t)(const char *const[]){"--third-rate", "auto"}, &s),
                   E_ARG);
  cli_free(&c, &s);
}

static const char *letter_at(size_t i) {
  static const char *const letters[] = {"a", "b", NULL};
  return letters[i];
}
static const struct opt letter_opts[] = {{"letter", OPT_STR, 0, "b", "which", .names = letter_at}, {0}};

static void a_name_is_one_of_its_registrys(void **state) {
  (void)state;
  const struct command c = {"run", "tests", sizeof(const char *), letter_opts, NULL, NULL};
  const char *letter;
  assert_int_equal(cli_parse(&c, 0, NULL, &letter), OK);
  assert_string_equal(letter, "b");
  assert_int_equal(cli_parse(&c, 1, (char **)(uintptr_t)(const char *const[]){"--letter=a"}, &letter), OK);
  assert_string_equal(letter, "a");
  assert_int_equal(cli_parse(&c, 1, (char **)(uintptr_t)(const char *const[]){"--letter=ab"}, &letter),
                   E_ARG);
  assert_non_null(strstr(fail_message(), "--letter: 'ab' is not one of a|b"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_registrys_entries_have_options_of_their_own),
                                     cmocka_unit_test(a_name_is_one_of_its_registrys),
                                     cmocka_unit_test(defaults_hold_where_no_flag_is_given),
                                     cmocka_unit_test(flags_take_values_in_both_forms),
                                     cmocka_unit_test(explicit_flags_win_over_a_preset_wherever_they_stand),
                                     cmocka_unit_test(a_list_given_by_flags_replaces_the_presets),
                                     cmocka_unit_test(mistakes_are_refused_with_the_flag_named)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
