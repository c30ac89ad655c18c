/* Mistakes in kernels show in the order of threads and blocks that brings them out, and hide in others. */
#include <stdbool.h>

#include "emulation.h"
#include "faulty_kernels.h"
#include "test.h"

/* Whether the kernel's mistake shows. */
static bool shows(enum faulty_kernel which, enum emulation_order order) {
  float *out = NULL;
  cudaStream_t stream;
  bool wrong = false;
  emulation_set_order(order);
  assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  assert_int_equal(cudaMalloc((void **)&out, FAULTY_NUMBERS * sizeof *out), cudaSuccess);
  assert_int_equal(run_faulty(which, out, stream), cudaSuccess);
  assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
  emulation_begin_access();
  for (int i = 0; i < FAULTY_NUMBERS; i++) wrong |= !(out[i] == 1);
  emulation_end_access();
  assert_int_equal(cudaFree(out), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
  return wrong;
}

static void mistakes_show_in_some_order(void **state) {
  (void)state;
  static const struct {
    enum faulty_kernel kernel;
    bool forward, reverse, shuffled;
  } cases[] = {
      {FAULTY_READ_UNWRITTEN, true, true, true},          {FAULTY_READ_BEFORE_A_BARRIER, false, true, true},
      {FAULTY_WRITE_BEFORE_A_BARRIER, false, true, true}, {FAULTY_PASS_A_WARP_BARRIER, true, true, true},
      {FAULTY_LOOK_BOTH_WAYS, false, false, true},        {FAULTY_FOLLOW_A_BLOCK, false, true, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(shows(cases[i].kernel, ORDER_FORWARD), cases[i].forward);
    assert_int_equal(shows(cases[i].kernel, ORDER_REVERSE), cases[i].reverse);
    assert_int_equal(shows(cases[i].kernel, ORDER_SHUFFLED), cases[i].shuffled);
  }
}

/* What a launch left in shared memory is no help to the next. */
static void shared_memory_does_not_outlive_a_block(void **state) {
  (void)state;
  assert_false(shows(FAULTY_READ_BEFORE_A_BARRIER, ORDER_FORWARD));
  assert_true(shows(FAULTY_READ_BEFORE_A_BARRIER, ORDER_REVERSE));
}

/* The default: the orders take turns. */
static void a_mixed_order_shows_them_before_long(void **state) {
  (void)state;
  for (int kernel = 0; kernel <= FAULTY_FOLLOW_A_BLOCK; kernel++) {
    int tries = 1;
    while (!shows((enum faulty_kernel)kernel, ORDER_MIXED)) assert_true(tries++ < 20);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(mistakes_show_in_some_order),
                                     cmocka_unit_test(shared_memory_does_not_outlive_a_block),
                                     cmocka_unit_test(a_mixed_order_shows_them_before_long)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
