#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/dataset.h"
#include "store/features.h"
#include "test.h"

static const char *const both[] = {"train", "test"};

static void check(enum status st) {
  if (st != OK) fail_msg("%s", fail_message());
}

static float feature(int64_t row, int64_t column) { return (float)(row * 1000 + column) * 0.25F - 7; }

static size_t files_here(void) {
  glob_t g;
  size_t n = glob("*", 0, NULL, &g) == 0 ? g.gl_pathc : 0;
  globfree(&g);
  return n;
}

/* Rows first..first+n-1, added in uneven pieces. */
static enum status add_rows(struct features_writer *w, int64_t dim, int64_t first, int64_t n) {
  enum status st = OK;
  for (int64_t done = 0, piece; st == OK && done < n; done += piece) {
    piece = 1 + (7 * done) % 13;
    if (piece > n - done) piece = n - done;
    float *x = malloc((size_t)(piece * dim) * sizeof *x);
    uint64_t ids[13];
    int32_t labels[13];
    for (int64_t i = 0; i < piece; i++) {
      ids[i] = 1000000000000 + (uint64_t)(first + done + i);
      labels[i] = (int32_t)((first + done + i) % 5) - 1;
      for (int64_t j = 0; j < dim; j++) x[i * dim + j] = feature(first + done + i, j);
    }
    st = features_writer_add(w, piece, ids, labels, x);
    free(x);
  }
  return st;
}

static void write_store(const char *path, const char *key, int64_t dim, int64_t n_train, int64_t n_test) {
  struct features_writer *w;
  check(features_writer_open(&w, path, key, dim));
  check(features_writer_split(w, "train"));
  check(add_rows(w, dim, 0, n_train));
  check(features_writer_split(w, "test"));
  check(add_rows(w, dim, n_train, n_test));
  check(features_writer_commit(&w));
  assert_null(w);
}

static void check_table(const struct feature_table *t, int64_t dim, int64_t first, int64_t n) {
  assert_int_equal(t->n, n);
  assert_int_equal(t->dim, dim);
  for (int64_t i = 0; i < n; i++) {
    assert_int_equal(t->ids[i], 1000000000000 + first + i);
    assert_int_equal(t->labels[i], (first + i) % 5 - 1);
    for (int64_t j = 0; j < dim; j++) assert_true(t->x[i * dim + j] == feature(first + i, j));
  }
}

/* One row; several chunks with a ragged last one; a row alone larger than a chunk; an empty split. */
static void written_features_read_back(void **state) {
  (void)state;
  static const struct {
    int64_t dim, train, test;
  } sizes[] = {{1, 1, 1}, {3, 10, 0}, {512, 1100, 77}, {300000, 3, 1}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    struct feature_table t[2];
    write_store("f.lmdb", "key", sizes[k].dim, sizes[k].train, sizes[k].test);
    check(features_read("f.lmdb", "key", both, 2, t));
    check_table(&t[0], sizes[k].dim, 0, sizes[k].train);
    check_table(&t[1], sizes[k].dim, sizes[k].train, sizes[k].test);
    feature_table_free(&t[0]);
    feature_table_free(&t[1]);
    assert_int_equal(files_here(), 1);
  }
  unlink("f.lmdb");
}

static void equal_features_give_equal_bytes(void **state) {
  (void)state;
  uint8_t *a, *b;
  size_t na, nb;
  write_store("a.lmdb", "key", 64, 900, 5);
  write_store("b.lmdb", "key", 64, 900, 5);
  check(file_read("a.lmdb", 1 << 24, &a, &na));
  check(file_read("b.lmdb", 1 << 24, &b, &nb));
  assert_int_equal(na, nb);
  assert_memory_equal(a, b, na);
  free(a);
  free(b);
  unlink("a.lmdb");
  unlink("b.lmdb");
}

static void refused(const char *path, const char *key, const char *split, enum status status,
                    const char *why) {
  struct feature_table t = {.n = 5};
  assert_int_equal(features_read(path, key, &split, 1, &t), status);
  if (!strstr(fail_message(), why)) fail_msg("'%s' does not say '%s'", fail_message(), why);
  assert_int_equal(t.n, 0);
  assert_null(t.x);
}

static void only_the_same_inputs_are_reused(void **state) {
  (void)state;
  refused("f.lmdb", "key", "train", E_NOT_FOUND, "there is no feature store at f.lmdb");
  write_store("f.lmdb", "key", 4, 20, 6);
  refused("f.lmdb", "key ", "train", E_NOT_FOUND, "other inputs");
  refused("f.lmdb", "", "train", E_NOT_FOUND, "other inputs");
  refused("f.lmdb", "key", "unlabeled", E_NOT_FOUND, "no split 'unlabeled'");
  write_store("f.lmdb", "key ", 4, 20, 6); /* replaces */
  refused("f.lmdb", "key", "train", E_NOT_FOUND, "other inputs");
  unlink("f.lmdb");
}

static void abort_leaves_what_was_there(void **state) {
  (void)state;
  struct features_writer *w;
  struct feature_table t;
  write_store("f.lmdb", "old", 4, 20, 6);
  check(features_writer_open(&w, "f.lmdb", "new", 4));
  check(features_writer_split(w, "train"));
  check(add_rows(w, 4, 0, 9));
  assert_int_equal(features_writer_split(w, "train"), E_ARG);
  features_writer_abort(&w);
  assert_null(w);
  assert_int_equal(files_here(), 1);
  check(features_read("f.lmdb", "old", both, 1, &t));
  feature_table_free(&t);
  unlink("f.lmdb");
}

static void a_full_disk_is_an_error_and_leaves_nothing(void **state) {
  (void)state;
  struct rlimit before, small;
  struct features_writer *w;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 4 << 20;
  setrlimit(RLIMIT_FSIZE, &small);
  check(features_writer_open(&w, "f.lmdb", "key", 1024));
  check(features_writer_split(w, "train"));
  enum status added = add_rows(w, 1024, 0, 8000), committed = features_writer_commit(&w);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(added, E_IO);
  assert_int_equal(committed, E_IO);
  assert_int_equal(files_here(), 0);
}

/* A byte in a row, in the version, in the description; half the file; other files. */
static void damage_is_found(void **state) {
  (void)state;
  uint8_t *bytes;
  size_t size, at = 0;
  write_store("f.lmdb", "key", 4, 20, 6);
  check(file_read("f.lmdb", 1 << 24, &bytes, &size));
  const float value = feature(11, 2);
  uint8_t stored[4];
  memcpy(stored, &value, 4);
  while (at + 4 <= size && memcmp(bytes + at, stored, 4) != 0) at++;
  assert_true(at + 4 <= size);
  bytes[at] ^= 1;
  check(file_write("f.lmdb", bytes, size));
  refused("f.lmdb", "key", "train", E_FORMAT, "rows 0 to 19 of split train");
  struct feature_table t;
  const char *test = "test";
  check(features_read("f.lmdb", "key", &test, 1, &t)); /* the other split is as it was */
  feature_table_free(&t);
  bytes[at] ^= 1;
  for (at = 0; at + 7 < size && memcmp(bytes + at, "version", 7) != 0;) at++;
  assert_int_equal(bytes[at + 7], FEATURES_VERSION);
  bytes[at + 7]++;
  check(file_write("f.lmdb", bytes, size));
  refused("f.lmdb", "key", "train", E_VERSION, "version 2, but this build reads version 1");
  bytes[at + 7]--;
  bytes[at + 8] ^= 0x20; /* inside the description, behind the version */
  check(file_write("f.lmdb", bytes, size));
  refused("f.lmdb", "key", "train", E_FORMAT, "damaged");
  check(file_write("f.lmdb", bytes, size / 2));
  refused("f.lmdb", "key", "train", E_FORMAT, "truncated");
  check(file_write("f.lmdb", "no LMDB file at all, but long enough for a header of one", 56));
  refused("f.lmdb", "key", "train", E_FORMAT, "is not a feature store");
  free(bytes);
  unlink("f.lmdb");
  mkdir("f.lmdb", 0777);
  refused("f.lmdb", "key", "train", E_FORMAT, "a folder");
  rmdir("f.lmdb");
}

static void a_dataset_is_not_a_feature_store(void **state) {
  (void)state;
  static const char *const classes[] = {"a"};
  static const double one[3] = {1, 1, 1};
  struct dataset_writer *w;
  check(dataset_writer_open(&w, "d.lmdb", &(struct dataset_plan){"d", classes, 1, NULL, 0}, false));
  check(dataset_writer_split(w, "train"));
  check(dataset_writer_commit(&w, one, one));
  refused("d.lmdb", "key", "train", E_FORMAT, "another LMDB file");
  unlink("d.lmdb");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(written_features_read_back),
      cmocka_unit_test(equal_features_give_equal_bytes),
      cmocka_unit_test(only_the_same_inputs_are_reused),
      cmocka_unit_test(abort_leaves_what_was_there),
      cmocka_unit_test(a_full_disk_is_an_error_and_leaves_nothing),
      cmocka_unit_test(damage_is_found),
      cmocka_unit_test(a_dataset_is_not_a_feature_store),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
