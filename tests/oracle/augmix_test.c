/* AugMix's operations, chains and mixtures against PIL and NumPy: augmix.safetensors, written by make_augmix.py
 * beside it. */
#include <stdbool.h>

#include "image/augmix.h"
#include "oracle/oracle.h"

static struct safetensors *oracle;
static struct workspace work;

static int open_oracle(void **state) {
  (void)state;
  return (oracle = oracle_open("augmix.safetensors")) ? 0 : -1;
}

static int close_oracle(void **state) {
  (void)state;
  safetensors_close(&oracle);
  workspace_free(&work);
  return 0;
}

static struct planes input(void) {
  const struct tensor_view *t = safetensors_find(oracle, "input");
  struct planes p;
  assert_non_null(t);
  assert_int_equal(workspace_planes(&work, (int32_t)t->shape[1], (int32_t)t->shape[0], &p), OK);
  planes_from_rgb8(&p, t->data, 3 * (size_t)p.width);
  workspace_flip(&work);
  return p;
}

static const char *const names[AUGMIX_KINDS] = {"autocontrast", "equalize",    "posterize",
                                                "solarize",     "rotate",      "shear_x",
                                                "shear_y",      "translate_x", "translate_y"};

/* The operations in `text` up to its end or a '+', behind which *text is left. */
static void read_chain(char **text, struct augmix_chain *chain) {
  while (**text && **text != '+') {
    assert_in_range(chain->depth, 0, AUGMIX_MAX_DEPTH - 1);
    struct augmix_op *op = &chain->op[chain->depth++];
    size_t n = strcspn(*text, "= ");
    int kind = 0;
    while (kind < AUGMIX_KINDS && (strlen(names[kind]) != n || strncmp(names[kind], *text, n) != 0)) kind++;
    assert_in_range(kind, 0, AUGMIX_KINDS - 1);
    op->kind = (enum augmix_kind)kind;
    *text += n;
    if (**text == '=') op->magnitude = strtof(*text + 1, text);
    while (**text == ' ') (*text)++;
  }
}

static struct augmix read_mixture(const char *name) {
  char copy[512], *at = copy;
  assert_true(snprintf(copy, sizeof copy, "%s", name) < (int)sizeof copy);
  struct augmix mix = {.m = 1};
  if (strncmp(at, "m=", 2) != 0) {
    mix.width = 1;
    mix.chain[0].weight = 1;
    read_chain(&at, &mix.chain[0]);
    return mix;
  }
  mix.m = strtof(at + 2, &at);
  for (at += 2; *at; at += *at == '+' ? 2 : 0) {
    struct augmix_chain *chain = &mix.chain[mix.width++];
    chain->weight = strtof(at, &at);
    at++;
    read_chain(&at, chain);
  }
  return mix;
}

/* PIL's 8-bit results are met exactly; mixtures to a few float32 roundings. */
static void compare(const struct tensor_view *want, const struct planes *got) {
  bool exact = want->dtype == DTYPE_U8;
  for (size_t i = 0; i < (size_t)got->width * (size_t)got->height; i++) {
    for (size_t c = 0; c < 3; c++) {
      double w = exact ? ((const uint8_t *)want->data)[3 * i + c] / 255.0
                       : (double)((const float *)want->data)[3 * i + c];
      double d = w - (double)got->plane[c][i];
      if (!(d <= 3e-7 && -d <= 3e-7)) fail_msg("%s: value %zu differs by %g", want->name, 3 * i + c, d);
    }
  }
}

static void every_chain_and_mixture_matches(void **state) {
  (void)state;
  bool seen[AUGMIX_KINDS] = {false};
  int n = 0;
  for (size_t i = 0; i < safetensors_count(oracle); i++) {
    const struct tensor_view *want = safetensors_at(oracle, i);
    if (strcmp(want->name, "input") == 0) continue;
    struct augmix mix = read_mixture(want->name);
    for (int k = 0; k < mix.width; k++)
      for (int o = 0; o < mix.chain[k].depth; o++) seen[mix.chain[k].op[o].kind] = true;
    struct planes p = input();
    assert_int_equal(augmix_apply(&work, &mix, &p), OK);
    compare(want, &p);
    n++;
  }
  for (int k = 0; k < AUGMIX_KINDS; k++) assert_true(seen[k]);
  assert_true(n >= 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_chain_and_mixture_matches)};
  return cmocka_run_group_tests_name("AugMix against PIL", tests, open_oracle, close_oracle);
}
