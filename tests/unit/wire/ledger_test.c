#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"
#include "wire/ledger.h"

static const char *const path = "ledger.jsonl";

static void append(int64_t first, int64_t last) {
  struct ledger *l;
  assert_int_equal(ledger_open(&l, path, first), OK);
  for (int64_t step = first; step < last; step++) {
    struct ledger_line line = {step, 64, (uint64_t)step, 0xabc, UINT64_MAX};
    assert_int_equal(ledger_append(l, &line), OK);
  }
  ledger_close(&l);
}

static char *text(void) {
  uint8_t *data;
  size_t size;
  assert_int_equal(file_read(path, 1 << 20, &data, &size), OK);
  return (char *)data;
}

static void a_resumed_run_continues_the_same_file(void **state) {
  (void)state;
  unlink(path);
  append(0, 10);
  char *whole = text();
  unlink(path);
  append(0, 7);
  FILE *f = fopen(path, "a"); /* a torn line, as a full disk leaves it */
  fputs("{\"step\": 7, \"ima", f);
  fclose(f);
  append(4, 10); /* resumed from a checkpoint before step 4 */
  char *resumed = text();
  assert_string_equal(whole, resumed);
  assert_non_null(strstr(whole,
                         "{\"step\": 9, \"images\": 64, \"tickets\": \"0000000000000009\", \"pixels\": "
                         "\"0000000000000abc\", \"labels\": \"ffffffffffffffff\"}\n"));
  free(whole);
  free(resumed);
}

static void another_file_is_not_cut(void **state) {
  (void)state;
  assert_int_equal(file_write(path, "precious\n", 9), OK);
  struct ledger *l;
  assert_int_equal(ledger_open(&l, path, 0), E_FORMAT);
  assert_null(l);
  char *kept = text();
  assert_string_equal(kept, "precious\n");
  free(kept);
}

/* A limit on the file's size answers like a full disk: with a short write, then an error. */
static void a_full_disk_is_an_error(void **state) {
  (void)state;
  unlink(path);
  struct ledger *l;
  struct ledger_line line = {0};
  struct rlimit before, small;
  assert_int_equal(ledger_open(&l, path, 0), OK);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = (struct rlimit){150, before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_int_equal(ledger_append(l, &line), OK);
  line.step = 1;
  assert_int_equal(ledger_append(l, &line), E_IO);
  assert_int_equal(ledger_append(l, &line), E_IO);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  ledger_close(&l);
  append(1, 2); /* the torn line is cut off */
  char *kept = text();
  assert_non_null(strstr(kept, "\n{\"step\": 1, "));
  size_t lines = 0;
  for (const char *c = kept; *c; c++) lines += *c == '\n';
  assert_int_equal(lines, 2);
  free(kept);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_resumed_run_continues_the_same_file),
                                     cmocka_unit_test(another_file_is_not_cut),
                                     cmocka_unit_test(a_full_disk_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
