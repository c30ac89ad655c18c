#include "events/event_file.h"

#include <glob.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static glob_t files_of(const char *folder) {
  char pattern[64];
  glob_t found;
  snprintf(pattern, sizeof pattern, "%s/events.out.tfevents.*.tandem", folder);
  assert_true(glob(pattern, 0, NULL, &found) == 0);
  return found;
}

static long size_of(const char *path) {
  struct stat s;
  assert_int_equal(stat(path, &s), 0);
  return (long)s.st_size;
}

static void every_event_is_in_the_file_at_once(void **state) {
  (void)state;
  struct event_file *f;
  assert_int_equal(mkdir("once", 0777), 0);
  assert_int_equal(event_file_open(&f, "once", 0), OK);
  glob_t files = files_of("once");
  assert_int_equal(files.gl_pathc, 1);
  enum { FRAME = 16, VERSION = 24, START = 15, SCALAR = 9 + 2 + 2 + 2 + 9 };
  assert_int_equal(size_of(files.gl_pathv[0]), FRAME + VERSION + FRAME + START);
  assert_int_equal(event_file_scalars(f, 1, &(struct event_scalar){"lr", 0.5}, 1), OK);
  assert_int_equal(size_of(files.gl_pathv[0]), FRAME + VERSION + FRAME + START + FRAME + SCALAR);
  assert_int_equal(event_file_sync(f), OK);
  globfree(&files);
  event_file_close(&f);
}

static void every_start_has_a_file_of_its_own_behind_the_others(void **state) {
  (void)state;
  struct event_file *f;
  assert_int_equal(mkdir("starts", 0777), 0);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(event_file_open(&f, "starts", 128 << 7 * i), OK); /* of 2, 3, 4 bytes */
    event_file_close(&f);
  }
  glob_t files = files_of("starts"); /* sorted */
  assert_int_equal(files.gl_pathc, 3);
  for (int i = 1; i < 3; i++)
    assert_int_equal(size_of(files.gl_pathv[i]) - size_of(files.gl_pathv[i - 1]), 1);
  globfree(&files);
}

static void what_cannot_be_written_is_an_error(void **state) {
  (void)state;
  struct event_file *f;
  assert_int_equal(event_file_open(&f, "no/such/folder", 0), E_IO);
  assert_null(f);
  assert_non_null(strstr(fail_message(), "cannot write no/such/folder/events.out.tfevents."));

  assert_int_equal(mkdir("full", 0777), 0);
  assert_int_equal(event_file_open(&f, "full", 0), OK);
  const struct rlimit full = {100, RLIM_INFINITY};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
  assert_int_equal(event_file_scalars(f, 0, &(struct event_scalar){"a-name-too-long-for-what-is-left", 1}, 1),
                   E_IO);
  assert_non_null(strstr(fail_message(), "free some space"));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
  event_file_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_event_is_in_the_file_at_once),
                                     cmocka_unit_test(every_start_has_a_file_of_its_own_behind_the_others),
                                     cmocka_unit_test(what_cannot_be_written_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
