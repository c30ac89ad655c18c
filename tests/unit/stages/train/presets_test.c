/* methods sections 3 and 5: what the presets set, and that flags beside them win. */
#include "test.h"
#include "train/step.h"
#include "train/train.h"
#include "train/train_options.h"

enum { MAX_WORDS = 12 };

static void parse(struct train_options *o, const char *preset, const char *const *more) {
  const char *words[MAX_WORDS] = {"--preset", preset, "--dataset", "d", "--out", "o"};
  int n = 6;
  while (*more) words[n++] = *more++;
  if (cli_parse(&train_command, n, (char **)(uintptr_t)words, o) != OK) fail_msg("%s", fail_message());
  assert_int_equal(train_options_check(o), OK);
  assert_int_equal(method_resolve(&o->method), OK);
}

static const char *const nothing[] = {NULL};

static void both_have_the_settings_of_stl10(void **state) {
  (void)state;
  static const char *const presets[] = {"stl10/paper", "stl10/code"};
  for (int i = 0; i < 2; i++) {
    struct train_options o;
    parse(&o, presets[i], nothing);
    assert_string_equal(o.method.method, "stl");
    assert_string_equal(o.method.base, "simclr");
    assert_int_equal(o.splits.count, 2);
    assert_string_equal(o.splits.items[0], "train");
    assert_string_equal(o.splits.items[1], "unlabeled");
    assert_string_equal(o.policy, "stl10");
    assert_string_equal(o.normalize, "stl10");
    assert_int_equal(o.size, 96);
    assert_string_equal(o.model.arch, "resnet18");
    assert_string_equal(o.model.stem, "imagenet");
    assert_int_equal(o.model.width, 64);
    assert_string_equal(o.method.trans_projector, "128-128");
    assert_true(o.method.temperature == 0.2);
    assert_true(o.method.weight[TERM_INV] == 1 && o.method.weight[TERM_EQUI] == 1);
    assert_true(o.optimiser.lr == 0.03 && o.optimiser.momentum == 0.9 && o.optimiser.weight_decay == 5e-4);
    assert_string_equal(o.schedule, "cosine");
    assert_true(o.epochs == 200 && o.batch == 256 && o.warmup_epochs == 0);
    cli_free(&train_command, &o);
  }
}

static void paper_and_code_differ_in_heads_and_in_one_weight(void **state) {
  (void)state;
  struct train_options paper, code;
  parse(&paper, "stl10/paper", nothing);
  parse(&code, "stl10/code", nothing);
  assert_string_equal(paper.method.projector, "512-512-128");
  assert_string_equal(paper.method.trans_backbone, "512-512-128");
  assert_true(paper.method.weight[TERM_TRANS] == 0.2);
  assert_string_equal(code.method.projector, "512-128");
  assert_string_equal(code.method.trans_backbone, "128-128");
  assert_true(code.method.weight[TERM_TRANS] == 0.1);
  cli_free(&train_command, &paper);
  cli_free(&train_command, &code);
}

static void imagenet100_has_the_papers_settings(void **state) {
  (void)state;
  struct train_options o;
  parse(&o, "imagenet100/paper", nothing);
  assert_string_equal(o.method.method, "stl");
  assert_string_equal(o.method.base, "simclr");
  assert_int_equal(o.splits.count, 1);
  assert_string_equal(o.splits.items[0], "train");
  assert_string_equal(o.policy, "imagenet");
  assert_string_equal(o.normalize, "imagenet");
  assert_int_equal(o.size, 224);
  assert_string_equal(o.model.arch, "resnet50");
  assert_string_equal(o.model.stem, "imagenet");
  assert_int_equal(o.model.width, 64);
  assert_string_equal(o.method.projector, "2048-2048-128");
  assert_string_equal(o.method.trans_backbone, "512-512-128");
  assert_string_equal(o.method.trans_projector, "128-128");
  assert_true(o.method.temperature == 0.2);
  assert_true(o.method.weight[TERM_INV] == 1 && o.method.weight[TERM_EQUI] == 1 &&
              o.method.weight[TERM_TRANS] == 0.2);
  assert_true(o.optimiser.lr == 0.03 && o.optimiser.momentum == 0.9 && o.optimiser.weight_decay == 5e-4);
  assert_true(o.optimiser.decay_bn);
  assert_string_equal(o.schedule, "cosine");
  assert_true(o.epochs == 500 && o.batch == 256 && o.warmup_epochs == 0);
  cli_free(&train_command, &o);
}

/* methods section 3: every base has its own heads, section 4: every method its own weights. */
static void every_base_and_method_gets_its_own_values(void **state) {
  (void)state;
  static const struct {
    const char *flag, *name, *base, *projector, *trans_projector, *predictor;
    double equi;
  } cases[] = {{"--base", "simclr", "simclr", "512-512-128", "128-128", NULL, 1},
               {"--base", "byol", "byol", "4096-256", "4096-256", "4096-256", 1},
               {"--method", "byol", "byol", "4096-256", "4096-256", "4096-256", 1},
               {"--base", "simsiam", "simsiam", "2048-2048", "2048-2048", "512-2048", 1},
               {"--base", "barlow", "barlow", "512-2048", "512-2048", NULL, 1},
               {"--method", "augself", "simclr", "512-512-128", "128-128", NULL, 0.5},
               {"--method", "essl", "simclr", "512-512-128", "128-128", NULL, 0.5}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct train_options o;
    parse(&o, "stl10/paper", (const char *const[]){cases[i].flag, cases[i].name, NULL});
    assert_string_equal(o.method.base, cases[i].base);
    assert_string_equal(o.method.projector, cases[i].projector);
    assert_string_equal(o.method.trans_projector, cases[i].trans_projector);
    if (cases[i].predictor)
      assert_string_equal(o.method.predictor, cases[i].predictor);
    else
      assert_null(o.method.predictor);
    assert_true(o.method.weight[TERM_EQUI] == cases[i].equi && o.method.weight[TERM_INV] == 1);
    cli_free(&train_command, &o);
  }
}

static void flags_beside_a_preset_win(void **state) {
  (void)state;
  struct train_options o;
  parse(&o, "stl10/code", (const char *const[]){"--trans", "0.3", "--splits", "train", NULL});
  assert_true(o.method.weight[TERM_TRANS] == 0.3);
  assert_int_equal(o.splits.count, 1);
  cli_free(&train_command, &o);
}

/* methods section 8 (13) */
static void the_published_codes_network_has_its_number_of_parameters(void **state) {
  (void)state;
  struct train_options o;
  struct step *s;
  parse(&o, "stl10/code", nothing);
  struct step_config config = {&o.model, &o.method, 4, 32, 32, "ref", 1};
  if (step_open(&s, &config) != OK) fail_msg("%s", fail_message());
  const struct graph_tensor *t;
  int64_t sum = 0;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++)
    if (t[i].trained) sum += shape_count(t[i].shape);
  assert_int_equal(sum, 45569088);
  step_close(&s);
  cli_free(&train_command, &o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_have_the_settings_of_stl10),
      cmocka_unit_test(paper_and_code_differ_in_heads_and_in_one_weight),
      cmocka_unit_test(imagenet100_has_the_papers_settings),
      cmocka_unit_test(every_base_and_method_gets_its_own_values),
      cmocka_unit_test(flags_beside_a_preset_win),
      cmocka_unit_test(the_published_codes_network_has_its_number_of_parameters)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
