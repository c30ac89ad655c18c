#include "test.h"
#include "train/method.h"
#include "train/step.h"

static enum status find(const char *method, const char *base, const char **found_method,
                        const char **found_base) {
  const struct method *m = NULL;
  const struct base *b = NULL;
  enum status st = method_find(&(struct method_options){.method = method, .base = base}, &m, &b);
  if (st != OK) return st;
  *found_method = m->name;
  *found_base = b->name;
  return OK;
}

static void names_find_a_method_and_its_base(void **state) {
  (void)state;
  const char *m = NULL, *b = NULL;
  assert_int_equal(find("stl", NULL, &m, &b), OK);
  assert_string_equal(m, "stl");
  assert_string_equal(b, "simclr");
  assert_int_equal(find("none", "simclr", &m, &b), OK);
  assert_string_equal(m, "none");
  assert_int_equal(find("simclr", NULL, &m, &b), OK);
  assert_string_equal(m, "none");
  assert_string_equal(b, "simclr");
}

static void unknown_names_list_the_valid_ones(void **state) {
  (void)state;
  const char *m = NULL, *b = NULL;
  assert_int_equal(find("slt", NULL, &m, &b), E_ARG);
  assert_non_null(strstr(fail_message(), "none, sen, sie, stl"));
  assert_non_null(strstr(fail_message(), "simclr"));
  assert_int_equal(find("", NULL, &m, &b), E_ARG);
  assert_int_equal(find("stl", "moco", &m, &b), E_ARG);
  assert_non_null(strstr(fail_message(), "--base: there is no 'moco'"));
  assert_non_null(strstr(fail_message(), "simclr"));
}

static enum status open_with(struct method_options o, int64_t batch, const char *device) {
  struct model_options model = {"resnet10", "cifar", 2};
  struct step *s;
  enum status st = step_open(&s, &(struct step_config){&model, &o, batch, 8, 8, device, 1});
  step_close(&s);
  return st;
}

static void a_step_that_cannot_be_built_says_why(void **state) {
  (void)state;
  const struct method_options good = {"stl", NULL, "4-3", "4-3", "4-3", 0.2, {1, 1, 0.2}};
  assert_int_equal(open_with(good, 4, "ref"), OK);
  static const int64_t batches[] = {-2, 0, 2, 5};
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
    assert_int_equal(open_with(good, batches[i], "ref"), E_ARG);
  assert_int_equal(open_with(good, 4, "tpu"), E_ARG);
  struct method_options bad = good;
  bad.projector = "4-";
  assert_int_equal(open_with(bad, 4, "ref"), E_ARG);
  bad = good;
  bad.base = "simsiam"; /* whose predictors have widths of their own */
  assert_int_equal(open_with(bad, 4, "ref"), E_ARG);
  assert_non_null(strstr(fail_message(), "--projector ends in 3, --predictor in 2048"));
  bad = good;
  bad.method = "none";
  bad.weight[TERM_INV] = 0;
  assert_int_equal(open_with(bad, 4, "ref"), E_ARG);
  assert_non_null(strstr(fail_message(), "nothing to learn"));
}

static void options_out_of_range_are_refused(void **state) {
  (void)state;
  struct method_options m = {.temperature = 0.2, .weight = {1, 1, 0}};
  assert_int_equal(method_options_check(&m), OK);
  m.weight[TERM_EQUI] = -1;
  assert_int_equal(method_options_check(&m), E_ARG);
  assert_non_null(strstr(fail_message(), "--equi"));
  m = (struct method_options){.temperature = 0.2};
  assert_int_equal(method_options_check(&m), E_ARG);
  m = (struct method_options){.temperature = 0, .weight = {1, 1, 1}};
  assert_int_equal(method_options_check(&m), E_ARG);
  static const struct optimiser_options bad[] = {
      {0, 0.9, 0}, {-1, 0.9, 0}, {0.1, 1, 0}, {0.1, -0.1, 0}, {0.1, 0, -1}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(optimiser_options_check(&bad[i]), E_ARG);
  assert_int_equal(optimiser_options_check(&(struct optimiser_options){0.03, 0.9, 5e-4}), OK);
  struct device_options d = {"cpu", -1};
  assert_int_equal(device_options_resolve(&d), E_ARG);
  d.threads = 0;
  assert_int_equal(device_options_resolve(&d), OK);
  assert_true(d.threads >= 1);
  d.precision = "bf16";
  assert_int_equal(device_options_resolve(&d), E_ARG); /* the cpu has one precision */
  d.device = "cuda:1";
  assert_int_equal(device_options_resolve(&d), OK);
  assert_int_equal(device_precision(&d), PRECISION_BF16);
  d.precision = "tf32";
  assert_int_equal(device_precision(&d), PRECISION_TF32);
  d.precision = NULL;
  assert_int_equal(device_precision(&d), PRECISION_F32);
  assert_int_equal(device_plans(&d), PLANS_SUGGESTED);
  d.tune = true;
  assert_int_equal(device_options_resolve(&d), OK);
  assert_int_equal(device_plans(&d), PLANS_MEASURED);
  d.deterministic = true;
  assert_int_equal(device_options_resolve(&d), E_ARG); /* by the clock, and always the same */
  d.tune = false;
  assert_int_equal(device_options_resolve(&d), OK);
  assert_int_equal(device_plans(&d), PLANS_DETERMINISTIC);
  d = (struct device_options){.device = "cpu", .tune = true};
  assert_int_equal(device_options_resolve(&d), E_ARG); /* nothing to choose from */
}

extern const struct method *const method_registry[];
extern const struct base *const base_registry[];

/* Flags are kept by place in the registry (options.h), and every flag's value has room there. */
static void there_is_room_for_the_flags_of_every_base_and_method(void **state) {
  (void)state;
  size_t n_bases = 0, n_methods = 0;
  while (base_registry[n_bases]) n_bases++;
  while (method_registry[n_methods]) n_methods++;
  assert_true(n_bases <= MAX_BASES && n_methods <= MAX_METHODS);
  for (size_t i = 0; i < n_bases + n_methods; i++) {
    const struct opt *o = i < n_bases ? base_opts_at(i) : method_opts_at(i - n_bases);
    for (; o->name; o++) {
      assert_true(o->type == OPT_BOOL || o->type == OPT_INT || o->type == OPT_FLOAT || o->type == OPT_STR);
      assert_true(o->offset + sizeof(double) <= OWN_OPTIONS_SIZE);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(names_find_a_method_and_its_base),
                                     cmocka_unit_test(unknown_names_list_the_valid_ones),
                                     cmocka_unit_test(a_step_that_cannot_be_built_says_why),
                                     cmocka_unit_test(options_out_of_range_are_refused),
                                     cmocka_unit_test(there_is_room_for_the_flags_of_every_base_and_method)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
