#include "nn/cuda/libraries.h"

#include "test.h"

static const char *const one_name[] = {"no_such_function", NULL};

static void a_missing_library_is_one_line_that_helps(void **state) {
  (void)state;
  void *table[1];
  setenv("LD_LIBRARY_PATH", "/nowhere", 1);
  struct library library = {"libnothere.so.7", "the package nothere-7", one_name};
  assert_int_equal(library_open(&library, table), E_DEVICE);
  assert_string_equal(fail_message(),
                      "libnothere.so.7: not found; looked for it in LD_LIBRARY_PATH (/nowhere) and where "
                      "the system's loader looks: install the package nothere-7, and put the folder that "
                      "holds it into LD_LIBRARY_PATH");
}

static void a_library_that_lacks_a_function_is_said(void **state) {
  (void)state;
  void *table[1];
  struct library library = {"libm.so.6", "another mathematics", one_name};
  assert_int_equal(library_open(&library, table), E_VERSION);
  assert_string_equal(fail_message(),
                      "libm.so.6 has no function no_such_function: install another mathematics");
}

static void functions_come_in_the_order_of_their_names(void **state) {
  (void)state;
  static const char *const names[] = {"sqrt", "floor", NULL};
  struct {
    double (*sqrt)(double), (*floor)(double);
  } table;
  assert_int_equal(library_open(&(struct library){"libm.so.6", "", names}, &table), OK);
  assert_true(table.sqrt(9) == 3 && table.floor(2.5) == 2);
}

static void open_or_skip(enum status st) {
  if (st == E_DEVICE) {
    print_message("%s\n", fail_message());
    skip();
  }
  if (st != OK) fail_msg("%s", fail_message());
}

static void cudnn_has_what_is_wanted_of_it(void **state) {
  (void)state;
  struct cudnn_functions cudnn = {NULL};
  open_or_skip(libraries_cudnn(&cudnn));
  assert_non_null(cudnn.cudnnBackendExecute);
}

static void cublaslt_has_what_is_wanted_of_it(void **state) {
  (void)state;
  struct cublaslt_functions cublaslt = {NULL};
  open_or_skip(libraries_cublaslt(&cublaslt));
  assert_non_null(cublaslt.cublasLtMatmul);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_missing_library_is_one_line_that_helps),
      cmocka_unit_test(a_library_that_lacks_a_function_is_said),
      cmocka_unit_test(functions_come_in_the_order_of_their_names),
      cmocka_unit_test(cudnn_has_what_is_wanted_of_it),
      cmocka_unit_test(cublaslt_has_what_is_wanted_of_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
