#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"
#include "wire/keys.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void write_text(const char *path, const char *text, int mode) {
  unlink(path);
  assert_int_equal(file_write(path, text, strlen(text)), OK);
  assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void a_pair_survives_its_file(void **state) {
  (void)state;
  struct keys consumer, worker, read;
  assert_int_equal(keys_make(&consumer, NULL), OK);
  assert_int_equal(keys_make(&worker, &consumer.own), OK);
  assert_false(key_equal(&consumer.own, &worker.own));
  unlink("w.key");
  assert_int_equal(keys_write(&worker, "w.key", "about"), OK);
  assert_int_equal(keys_write(&worker, "w.key", "about"), E_EXISTS);
  assert_int_equal(keys_read(&read, "w.key"), OK);
  assert_true(key_equal(&read.own, &worker.own) && key_equal(&read.secret, &worker.secret));
  assert_true(read.has_server && key_equal(&read.server, &consumer.own));
  struct stat s;
  assert_int_equal(stat("w.key", &s), 0);
  assert_int_equal(s.st_mode & 0777, 0600);
}

static void what_is_no_key_file_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "public " HEX "\n",
                                    "secret " HEX "\n",
                                    "public " HEX "\nsecret " HEX "0\n",
                                    "public " HEX "\nsecret\n",
                                    "public " HEX "\nsecret " HEX "\npublic " HEX "\n",
                                    "public " HEX "\nsecret " HEX "\nother " HEX "\n",
                                    "public " HEX " more\nsecret " HEX "\n"};
  struct keys keys;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    write_text("bad.key", bad[i], 0600);
    assert_int_equal(keys_read(&keys, "bad.key"), E_FORMAT);
  }
  write_text("bad.key", "# c\r\n\n \tpublic \t" HEX " \r\nsecret " HEX, 0600);
  assert_int_equal(keys_read(&keys, "bad.key"), OK);
  assert_false(keys.has_server);
  write_text("bad.key", "public " HEX "\nsecret " HEX "\n", 0604);
  assert_int_equal(keys_read(&keys, "bad.key"), E_ARG);
  assert_int_equal(keys_read(&keys, "absent.key"), E_IO);
}

static void a_list_grows_line_by_line(void **state) {
  (void)state;
  struct keys a, b;
  struct allow_list list;
  assert_int_equal(keys_make(&a, NULL), OK);
  assert_int_equal(keys_make(&b, NULL), OK);
  unlink("run.allow");
  assert_int_equal(allow_list_create("run.allow"), OK);
  assert_int_equal(allow_list_read(&list, "run.allow"), OK);
  assert_int_equal(list.n, 0);
  allow_list_free(&list);
  assert_int_equal(allow_list_add("run.allow", &a.own, "a"), OK);
  assert_int_equal(allow_list_add("run.allow", &a.own, "other"), E_EXISTS);
  assert_int_equal(allow_list_add("run.allow", &b.own, "a"), E_EXISTS);
  assert_int_equal(allow_list_add("run.allow", &b.own, "b"), OK);
  assert_int_equal(allow_list_create("run.allow"), OK); /* leaves it as it is */
  assert_int_equal(allow_list_read(&list, "run.allow"), OK);
  assert_int_equal(list.n, 2);
  assert_string_equal(allow_list_find(&list, &b.own)->name, "b");
  assert_null(allow_list_find(&list, &b.secret));
  allow_list_free(&list);
}

static void lists_have_comments_repeats_and_a_limit(void **state) {
  (void)state;
  struct allow_list list;
  write_text("l.allow", "# x\n" HEX " a name of words\n\n" HEX "\n", 0644);
  assert_int_equal(allow_list_read(&list, "l.allow"), OK);
  assert_int_equal(list.n, 1);
  assert_string_equal(list.at[0].name, "a name of words");
  allow_list_free(&list);
  write_text("l.allow", HEX " fine\nname " HEX "\n", 0644);
  assert_int_equal(allow_list_read(&list, "l.allow"), E_FORMAT);
  assert_non_null(strstr(fail_message(), "line 2"));
  FILE *f = fopen("l.allow", "w");
  for (int i = 0; i <= KEYS_MAX; i++) fprintf(f, "%064x w%d\n", i, i);
  fclose(f);
  assert_int_equal(allow_list_read(&list, "l.allow"), E_FORMAT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pair_survives_its_file), cmocka_unit_test(what_is_no_key_file_is_refused),
      cmocka_unit_test(a_list_grows_line_by_line), cmocka_unit_test(lists_have_comments_repeats_and_a_limit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
