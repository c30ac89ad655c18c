#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static int files_here(void) {
  int n = 0;
  DIR *d = opendir(".");
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static int fresh_folder(void **state) {
  (void)state;
  char name[] = "file-test-XXXXXX";
  return mkdtemp(name) && chdir(name) == 0 ? 0 : -1;
}

static void assert_content(const char *path, const char *want) {
  uint8_t *data;
  size_t size;
  assert_int_equal(file_read(path, 100, &data, &size), OK);
  assert_int_equal(size, strlen(want));
  assert_string_equal((char *)data, want);
  free(data);
}

static void a_commit_replaces_and_an_abort_leaves_the_old_file(void **state) {
  (void)state;
  assert_int_equal(file_write("a", "old", 3), OK);
  struct atomic_file *f;
  assert_int_equal(atomic_file_open(&f, "a"), OK);
  fputs("new", atomic_file_stream(f));
  assert_content("a", "old");
  atomic_file_abort(&f);
  assert_null(f);
  assert_content("a", "old");
  assert_int_equal(file_write("a", "newer", 5), OK);
  assert_content("a", "newer");
  assert_int_equal(files_here(), 1);
}

static void a_full_disk_fails_and_leaves_nothing(void **state) {
  (void)state;
  struct rlimit old, low;
  getrlimit(RLIMIT_FSIZE, &old);
  low = (struct rlimit){1000, old.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(file_write("b", "old", 3), OK);
  char *big = calloc(1, 100000);
  setrlimit(RLIMIT_FSIZE, &low);
  enum status st = file_write("b", big, 100000);
  setrlimit(RLIMIT_FSIZE, &old);
  free(big);
  assert_int_equal(st, E_IO);
  assert_non_null(strstr(fail_message(), "cannot write b: File too large; free some space"));
  assert_content("b", "old");
  assert_int_equal(files_here(), 1);
}

static void reading_names_the_file_and_the_reason(void **state) {
  (void)state;
  uint8_t *data;
  size_t size;
  assert_int_equal(file_read("absent", 10, &data, &size), E_IO);
  assert_non_null(strstr(fail_message(), "absent: No such file"));
  assert_int_equal(file_read(".", 10, &data, &size), E_IO);
  assert_int_equal(file_write("c", "12345678901", 11), OK);
  assert_int_equal(file_read("c", 10, &data, &size), E_FORMAT);
  assert_null(data);
}

static void folders_are_made_with_their_parents(void **state) {
  (void)state;
  assert_int_equal(file_make_folder("x/y/z"), OK);
  assert_int_equal(file_make_folder("x/y/z/"), OK);
  assert_int_equal(file_write("x/f", "", 0), OK);
  assert_int_equal(file_make_folder("x/f/g"), E_IO);
  assert_int_equal(file_write("nowhere/f", "", 0), E_IO);
}

static void a_locked_folder_is_refused_until_it_is_let_go(void **state) {
  (void)state;
  int first, second;
  assert_int_equal(file_lock_folder(".", &first), OK);
  assert_int_equal(file_lock_folder(".", &second), E_EXISTS);
  assert_int_equal(second, -1);
  close(first);
  assert_int_equal(file_lock_folder(".", &second), OK);
  close(second);
  assert_int_equal(file_lock_folder("absent", &first), E_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_commit_replaces_and_an_abort_leaves_the_old_file, fresh_folder),
      cmocka_unit_test_setup(a_full_disk_fails_and_leaves_nothing, fresh_folder),
      cmocka_unit_test_setup(reading_names_the_file_and_the_reason, fresh_folder),
      cmocka_unit_test_setup(folders_are_made_with_their_parents, fresh_folder),
      cmocka_unit_test_setup(a_locked_folder_is_refused_until_it_is_let_go, fresh_folder)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
