/* Every operation against torchvision, PIL and NumPy: transforms.safetensors, written by make_transforms.py beside
 * it. */
#include "oracle/oracle.h"
#include "transform/step.h"

static struct safetensors *oracle;

static int open_oracle(void **state) {
  (void)state;
  return (oracle = oracle_open("transforms.safetensors")) ? 0 : -1;
}

static int close_oracle(void **state) {
  (void)state;
  safetensors_close(&oracle);
  return 0;
}

/* The chain `name` on the oracle's input, left in canvas->planes. */
static void run_chain(const char *name, struct canvas *canvas) {
  char text[512], *save = NULL;
  assert_true(snprintf(text, sizeof text, "%s", name) < (int)sizeof text);
  for (char *one = strtok_r(text, ";", &save); one; one = strtok_r(NULL, ";", &save)) {
    struct step step;
    if (step_parse(&step, one) != OK || step_apply(&step, canvas) != OK)
      fail_msg("%s: %s", one, fail_message());
  }
}

static void compare(const struct tensor_view *want, const struct planes *got, double tolerance,
                    double *worst) {
  assert_int_equal(want->n_dims, 3);
  assert_int_equal(want->shape[0], got->height);
  assert_int_equal(want->shape[1], got->width);
  for (size_t i = 0; i < (size_t)got->width * (size_t)got->height; i++) {
    for (size_t c = 0; c < 3; c++) {
      double w = want->dtype == DTYPE_U8 ? ((const uint8_t *)want->data)[3 * i + c] / 255.0
                                         : (double)((const float *)want->data)[3 * i + c];
      double d = w - (double)got->plane[c][i];
      d = d < 0 ? -d : d;
      if (!(d <= tolerance)) fail_msg("%s: value %zu differs by %g", want->name, 3 * i + c, d);
      if (d > *worst) *worst = d;
    }
  }
}

/* PIL's 8-bit results are met exactly (but for the division by 255), float results to a few float32
 * roundings. */
static void every_operation_matches(void **state) {
  (void)state;
  const struct tensor_view *input = safetensors_find(oracle, "input");
  assert_non_null(input);
  struct extent whole = {(int32_t)input->shape[1], (int32_t)input->shape[0]};
  struct source source = {input->data, {0, 0, whole.width, whole.height}, whole};
  struct workspace work = {0};
  int n = 0;
  double worst = 0;
  for (size_t i = 0; i < safetensors_count(oracle); i++) {
    const struct tensor_view *want = safetensors_at(oracle, i);
    if (want == input) continue;
    struct canvas canvas = {.source = &source, .work = &work};
    run_chain(want->name, &canvas);
    compare(want, &canvas.planes, want->dtype == DTYPE_U8 ? 1e-7 : 3e-6, &worst);
    n++;
  }
  assert_true(n >= 25);
  print_message("%d chains, largest difference %.2g\n", n, worst);
  workspace_free(&work);
}

/* Also the operations that policies draw values for are covered by name: all but the two that only compose
 * others. */
static void every_directly_given_operation_is_in_the_oracle(void **state) {
  (void)state;
  for (const struct transform_op *const *op = transform_op_registry; *op; op++) {
    if (!((*op)->where & OP_IN_APPLY)) continue;
    bool found = false;
    for (size_t i = 0; i < safetensors_count(oracle); i++)
      found |= strstr(safetensors_at(oracle, i)->name, (*op)->name) != NULL;
    if (!found) fail_msg("%s is not in transforms.safetensors: add it to make_transforms.py", (*op)->name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_operation_matches),
                                     cmocka_unit_test(every_directly_given_operation_is_in_the_oracle)};
  return cmocka_run_group_tests_name("transforms against torchvision", tests, open_oracle, close_oracle);
}
