#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "test.h"

enum { ITEMS = 1000 };

struct tally {
  atomic_int done[ITEMS];
  atomic_int by[8]; /* thread */
  atomic_int failures;
  int told;
  uint32_t fails_from, sleeps;
  pthread_t caller;
  bool elsewhere; /* progress was told to another thread */
};

static enum status work(void *context, uint32_t item, int thread) {
  struct tally *t = context;
  if (item < t->sleeps) usleep(1000);
  t->done[item]++;
  t->by[thread]++;
  if (!t->fails_from || item < t->fails_from) return OK;
  t->failures++;
  return fail(E_FORMAT, "item %u", item);
}

static void told(void *context) {
  struct tally *t = context;
  t->told++;
  t->elsewhere |= !pthread_equal(pthread_self(), t->caller);
}

static enum status run(struct pool *pool, struct tally *t, uint32_t items) {
  t->caller = pthread_self();
  return pool_run(pool, &(struct pool_job){items, t, work, told});
}

static void every_item_is_done_once(void **state) {
  (void)state;
  for (int threads = 1; threads <= 4; threads++) {
    struct pool *pool;
    assert_int_equal(pool_open(&pool, threads), OK);
    assert_int_equal(pool_threads(pool), threads);
    for (uint32_t items = 0; items <= ITEMS; items = 3 * items + 1) {
      struct tally t = {.sleeps = 4};
      assert_int_equal(run(pool, &t, items), OK);
      for (uint32_t i = 0; i < ITEMS; i++) assert_int_equal(t.done[i], i < items);
      for (int i = threads; i < 8; i++) assert_int_equal(t.by[i], 0);
      assert_false(t.elsewhere);
      assert_true(items == 0 || t.told > 0);
      assert_true(t.told <= (int)items);
    }
    pool_close(&pool);
    assert_null(pool);
  }
}

/* Whatever the number of threads and their luck. */
static void the_lowest_failure_is_reported(void **state) {
  (void)state;
  for (int threads = 1; threads <= 4; threads++) {
    struct pool *pool;
    assert_int_equal(pool_open(&pool, threads), OK);
    for (uint32_t from = 1; from < 200; from++) {
      struct tally t = {.fails_from = from, .sleeps = from % 20 == 0 ? 3 : 0};
      char want[32];
      snprintf(want, sizeof want, "item %u", from);
      assert_int_equal(run(pool, &t, ITEMS), E_FORMAT);
      assert_string_equal(fail_message(), want);
      assert_in_range(t.failures, 1, threads);
      for (uint32_t i = 0; i <= from; i++) assert_int_equal(t.done[i], 1);
    }
    struct tally t = {0};
    assert_int_equal(run(pool, &t, ITEMS), OK);
    pool_close(&pool);
  }
}

static void impossible_numbers_are_refused(void **state) {
  (void)state;
  struct pool *pool;
  static const int64_t numbers[] = {0, -1, POOL_MAX_THREADS + 1, INT64_MAX};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(pool_open(&pool, numbers[i]), E_ARG);
    assert_null(pool);
  }
  pool_close(&pool);
}

static atomic_int signalled;
static pthread_t handled_by;

static void on_signal(int number) {
  (void)number;
  handled_by = pthread_self();
  signalled = 1;
}

/* A stop must interrupt the caller, who waits for messages, not a helper. */
static void signals_go_to_the_caller(void **state) {
  (void)state;
  struct pool *pool;
  struct sigaction action = {.sa_handler = on_signal}, before;
  assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
  assert_int_equal(pool_open(&pool, 4), OK);
  for (int i = 0; i < 50; i++) {
    signalled = 0;
    assert_int_equal(kill(getpid(), SIGUSR1), 0); /* to the process: any thread that has not blocked it */
    while (!signalled) usleep(100);               /* sanitizers deliver late */
    assert_true(pthread_equal(handled_by, pthread_self()));
  }
  pool_close(&pool);
  assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_item_is_done_once), cmocka_unit_test(the_lowest_failure_is_reported),
      cmocka_unit_test(impossible_numbers_are_refused), cmocka_unit_test(signals_go_to_the_caller)};
  return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
