/* The choice between ways to do the same, by the device's clock. */
#include "nn/cuda/fastest.h"
#include "test.h"

#include "emulation.h"

enum { NONE = -1, ASKED = 4 /* times that a way is run */ };

struct ways {
  cudaStream_t stream;
  int spins[3]; /* NONE: fails */
  int runs[3];
};

static void spin(void *arguments) {
  const int spins = *(int *)arguments;
  for (volatile int i = 0; i < spins; i++) {}
}

static enum status run_way(void *context, int way) {
  struct ways *w = context;
  w->runs[way]++;
  if (w->spins[way] == NONE) return fail(E_SHAPE, "way %d cannot be gone", way);
  return emulation_enqueue(w->stream, spin, &w->spins[way], sizeof w->spins[way]) == cudaSuccess
             ? OK
             : fail(E_DEVICE, "no stream");
}

static enum status choose(struct ways *w, int *best) {
  assert_int_equal(cudaStreamCreateWithFlags(&w->stream, cudaStreamNonBlocking), cudaSuccess);
  enum status st = fastest(w->stream, 3, run_way, w, best);
  assert_int_equal(cudaStreamDestroy(w->stream), cudaSuccess);
  return st;
}

static void the_fastest_is_found(void **state) {
  (void)state;
  struct ways w = {.spins = {20000000, 1000, 20000000}};
  int best;
  assert_int_equal(choose(&w, &best), OK);
  assert_int_equal(best, 1);
  for (int i = 0; i < 3; i++) assert_int_equal(w.runs[i], ASKED);
}

static void one_that_fails_is_passed_over(void **state) {
  (void)state;
  struct ways w = {.spins = {NONE, 20000000, 1000}};
  int best;
  assert_int_equal(choose(&w, &best), OK);
  assert_int_equal(best, 2);
}

static void if_all_fail_the_last_says_why(void **state) {
  (void)state;
  struct ways w = {.spins = {NONE, NONE, NONE}};
  int best;
  assert_int_equal(choose(&w, &best), E_SHAPE);
  assert_string_equal(fail_message(), "way 2 cannot be gone");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_fastest_is_found),
                                     cmocka_unit_test(one_that_fails_is_passed_over),
                                     cmocka_unit_test(if_all_fail_the_last_says_why)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
