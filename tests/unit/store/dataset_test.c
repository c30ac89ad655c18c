#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "store/dataset.h"
#include "store/features.h"

#include <cmocka.h> /* last: it has a macro called fail */

static const char *const classes[] = {"cat", "dog \xc3\xa9", "ship"};
static const char *const attributes[] = {"size", "hue"};
static const struct dataset_plan plan = {"pets", classes, 3, attributes, 2};
static const double mean[3] = {0.1, 0.2, 0.3}, std_[3] = {0.4, 0.5, 0.6};

static struct record rgb(int32_t width, int32_t height, const uint8_t *pixels, int32_t label) {
  return (struct record){ENCODING_RGB8, pixels, (size_t)width * (size_t)height * 3, width, height, label};
}

static void check(enum status st) {
  if (st != OK) fail_msg("%s", fail_message());
}

static size_t files_here(void) {
  glob_t g;
  size_t n = glob("*", 0, NULL, &g) == 0 ? g.gl_pathc : 0;
  globfree(&g);
  return n;
}

/* `n` tiny samples in train and one with boxes, attributes and JPEG bytes in test. */
static void write_pets(const char *path, int n, bool replace) {
  struct dataset_writer *w;
  uint8_t pixels[12];
  check(dataset_writer_open(&w, path, &plan, replace));
  check(dataset_writer_split(w, "train"));
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < 12; j++) pixels[j] = (uint8_t)(i + j);
    struct record r = rgb(i % 2 ? 4 : 2, i % 2 ? 1 : 2, pixels, i % 4 - 1);
    check(dataset_writer_add(w, &r));
  }
  check(dataset_writer_split(w, "test"));
  const struct box boxes[2] = {{1, 2, 30.5F, 40, 2, 1}, {-1, 0, 5, 6, 0, 0}};
  const float values[2] = {0.25F, -7};
  const struct record last = {
      ENCODING_JPEG, (const uint8_t *)"\xff\xd8jpeg", 6, 640, 480, 1, boxes, 2, values, 2};
  check(dataset_writer_add(w, &last));
  check(dataset_writer_commit(&w, mean, std_));
  assert_null(w);
}

static void written_samples_read_back(void **state) {
  (void)state;
  enum { N = 9000 /* more than two chunks of the index */ };
  struct dataset *d;
  struct record r;
  write_pets("a.lmdb", N, false);
  assert_int_equal(files_here(), 1);
  check(dataset_open(&d, "a.lmdb"));
  const struct dataset_info *info = dataset_info(d);
  assert_string_equal(info->name, "pets");
  assert_int_equal(info->n_classes, 3);
  assert_string_equal(info->classes[1], "dog \xc3\xa9");
  assert_int_equal(info->n_attributes, 2);
  assert_string_equal(info->attributes[1], "hue");
  assert_int_equal(info->n_splits, 2);
  assert_true(info->mean[2] == 0.3 && info->std[0] == 0.4);
  assert_int_equal(strlen(info->fingerprint), FINGERPRINT_HEX);
  const struct split *train = dataset_split(d, "train"), *test = dataset_split(d, "test");
  assert_int_equal(train->count, N);
  assert_int_equal(test->count, 1);
  for (int64_t i = 0; i < N; i++) {
    const struct index_entry *e = &train->entries[i];
    assert_int_equal(e->id, i);
    assert_int_equal(e->label, i % 4 - 1);
    assert_int_equal(e->width, i % 2 ? 4 : 2);
    check(dataset_read(d, e->id, &r));
    assert_int_equal(r.encoding, ENCODING_RGB8);
    assert_int_equal(r.size, 12);
    assert_int_equal(r.bytes[3], (uint8_t)(i + 3));
    assert_int_equal(r.label, e->label);
    assert_null(r.boxes);
    assert_null(r.attributes);
  }
  check(dataset_read(d, test->entries[0].id, &r));
  assert_int_equal(r.encoding, ENCODING_JPEG);
  assert_memory_equal(r.bytes, "\xff\xd8jpeg", 6);
  assert_int_equal(r.width, 640);
  assert_int_equal(r.n_boxes, 2);
  assert_true(r.boxes[0].right == 30.5F && r.boxes[1].left == -1);
  assert_int_equal(r.boxes[0].class_index, 2);
  assert_int_equal(r.boxes[0].difficult, 1);
  assert_int_equal(r.n_attributes, 2);
  assert_true(r.attributes[1] == -7);
  assert_int_equal(dataset_read(d, N + 1, &r), E_NOT_FOUND);
  assert_null(dataset_split(d, "val"));
  assert_non_null(strstr(fail_message(), "it has: train test"));
  check(dataset_verify(d, NULL));
  dataset_close(&d);
  assert_null(d);
}

static void equal_content_gives_equal_files_and_fingerprints(void **state) {
  (void)state;
  uint8_t *a, *b;
  size_t n, m;
  write_pets("a.lmdb", 500, false);
  write_pets("b.lmdb", 500, false);
  check(file_read("a.lmdb", 1 << 28, &a, &n));
  check(file_read("b.lmdb", 1 << 28, &b, &m));
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n);
  free(a);
  free(b);
  write_pets("b.lmdb", 501, true);
  struct dataset *x, *y;
  check(dataset_open(&x, "a.lmdb"));
  check(dataset_open(&y, "b.lmdb"));
  assert_string_not_equal(dataset_info(x)->fingerprint, dataset_info(y)->fingerprint);
  dataset_close(&x);
  dataset_close(&y);
}

static void values_larger_than_a_batch_and_a_growing_map(void **state) {
  (void)state;
  enum { SIDE = 2600 }; /* 20 MB each */
  uint8_t *pixels = malloc(3 * SIDE * SIDE);
  struct dataset_writer *w;
  check(dataset_writer_open(&w, "a.lmdb", &plan, false));
  check(dataset_writer_split(w, "train"));
  for (int i = 0; i < 3; i++) {
    memset(pixels, i, 3 * SIDE * SIDE);
    struct record r = rgb(SIDE, SIDE, pixels, i), small = rgb(1, 1, pixels, i);
    check(dataset_writer_add(w, &r));
    check(dataset_writer_add(w, &small));
  }
  check(dataset_writer_commit(&w, mean, std_));
  free(pixels);
  struct dataset *d;
  struct record r;
  check(dataset_open(&d, "a.lmdb"));
  check(dataset_read(d, 4, &r));
  assert_int_equal(r.bytes[3 * SIDE * SIDE - 1], 2);
  dataset_close(&d);
}

static void an_empty_split_is_fine(void **state) {
  (void)state;
  struct dataset_writer *w;
  struct dataset *d;
  const struct dataset_plan bare = {"bare", NULL, 0, NULL, 0};
  check(dataset_writer_open(&w, "a.lmdb", &bare, false));
  check(dataset_writer_split(w, "train"));
  check(dataset_writer_commit(&w, mean, std_));
  check(dataset_open(&d, "a.lmdb"));
  assert_int_equal(dataset_split(d, "train")->count, 0);
  assert_int_equal(dataset_info(d)->n_classes, 0);
  check(dataset_verify(d, NULL));
  dataset_close(&d);
}

static void nothing_is_overwritten_unless_asked(void **state) {
  (void)state;
  struct dataset_writer *w;
  struct dataset *old, *new;
  struct record r;
  write_pets("a.lmdb", 3, false);
  assert_int_equal(dataset_writer_open(&w, "a.lmdb", &plan, false), E_EXISTS);
  check(dataset_open(&old, "a.lmdb"));
  write_pets("a.lmdb", 7, true);
  check(dataset_open(&new, "a.lmdb"));
  assert_int_equal(dataset_split(new, "train")->count, 7);
  check(dataset_read(old, 3, &r)); /* a reader of the replaced one goes on */
  assert_int_equal(r.width, 640);
  dataset_close(&old);
  dataset_close(&new);
  /* Something that appears while the dataset is written is not overwritten either. */
  check(dataset_writer_open(&w, "b.lmdb", &plan, false));
  check(dataset_writer_split(w, "train"));
  check(file_write("b.lmdb", "mine", 4));
  assert_int_equal(dataset_writer_commit(&w, mean, std_), E_EXISTS);
  assert_int_equal(files_here(), 2);
  assert_int_equal(dataset_writer_open(&w, "no/such/folder.lmdb", &plan, false), E_IO);
  assert_int_equal(dataset_writer_open(&w, ".", &plan, true), E_EXISTS);
}

static void abort_leaves_nothing(void **state) {
  (void)state;
  struct dataset_writer *w;
  uint8_t pixel[3] = {0};
  struct record r = rgb(1, 1, pixel, 0);
  check(dataset_writer_open(&w, "a.lmdb", &plan, false));
  check(dataset_writer_split(w, "train"));
  check(dataset_writer_add(w, &r));
  assert_int_equal(files_here(), 1);
  dataset_writer_abort(&w);
  assert_null(w);
  assert_int_equal(files_here(), 0);
  dataset_writer_abort(&w);
}

static void leftovers_of_the_dead_go_and_the_living_stay(void **state) {
  (void)state;
  int fd = open("a.lmdb.tmp-77-0", O_RDWR | O_CREAT, 0666);
  assert_int_equal(flock(fd, LOCK_EX), 0); /* as a live writer does */
  check(file_write("a.lmdb.tmp-78-0", "dead", 4));
  check(file_write("b.lmdb.tmp-78-0", "another dataset's", 4));
  write_pets("a.lmdb", 1, false);
  assert_int_equal(access("a.lmdb.tmp-77-0", F_OK), 0);
  assert_int_not_equal(access("a.lmdb.tmp-78-0", F_OK), 0);
  assert_int_equal(access("b.lmdb.tmp-78-0", F_OK), 0);
  close(fd);
}

static void a_full_disk_is_one_error_and_leaves_nothing(void **state) {
  (void)state;
  static uint8_t pixels[3 * 500 * 500];
  struct rlimit old, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  signal(SIGXFSZ, SIG_IGN);
  /* Fails while adding, in the commit, and already at the start. */
  static const rlim_t limits[] = {4 << 20, 17 << 20, 100};
  for (int k = 0; k < 3; k++) {
    struct dataset_writer *w;
    small.rlim_cur = limits[k];
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status st = dataset_writer_open(&w, "a.lmdb", &plan, false);
    if (st == OK) st = dataset_writer_split(w, "train");
    for (int i = 0; st == OK && i < (k == 1 ? 24 : 60); i++) {
      struct record r = rgb(500, 500, pixels, 0);
      st = dataset_writer_add(w, &r);
    }
    assert_int_equal(st, k == 1 ? OK : E_IO);
    if (w) assert_int_equal(dataset_writer_commit(&w, mean, std_), E_IO);
    assert_int_equal(files_here(), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  }
}

static void bad_samples_and_plans_are_refused(void **state) {
  (void)state;
  static const uint8_t pixels[12];
  static const struct box upside_down = {0, 5, 1, 4, 0, 0}, no_class = {0, 0, 1, 1, 3, 0};
  const float values[2] = {1, __builtin_nanf("")};
  struct dataset_writer *w;
  struct record good = rgb(2, 2, pixels, 0), bad[8];
  for (int i = 0; i < 8; i++) bad[i] = good;
  bad[0].label = 3;
  bad[1].label = -2;
  bad[2].width = 3;
  bad[3].height = 0;
  bad[4].boxes = &upside_down, bad[4].n_boxes = 1;
  bad[5].boxes = &no_class, bad[5].n_boxes = 1;
  bad[6].attributes = values, bad[6].n_attributes = 1;
  bad[7].attributes = values, bad[7].n_attributes = 2;
  check(dataset_writer_open(&w, "a.lmdb", &plan, false));
  assert_int_equal(dataset_writer_add(w, &good), E_ARG); /* no split yet */
  assert_int_equal(dataset_writer_split(w, "a/b"), E_ARG);
  assert_int_equal(dataset_writer_split(w, ""), E_ARG);
  check(dataset_writer_split(w, "train"));
  assert_int_equal(dataset_writer_split(w, "train"), E_ARG);
  for (int i = 0; i < 8; i++) assert_int_equal(dataset_writer_add(w, &bad[i]), E_ARG);
  const double nan3[3] = {0, __builtin_nan(""), 0};
  assert_int_equal(dataset_writer_commit(&w, mean, nan3), E_ARG);
  const char *const names[] = {"ok", "\xff"};
  const struct dataset_plan wrong = {"x", names, 2, NULL, 0};
  assert_int_equal(dataset_writer_open(&w, "a.lmdb", &wrong, false), E_ARG);
  assert_int_equal(files_here(), 0);
}

/* --- Damage --- */

/* Replaces `n` bytes behind the first occurrence of `mark` in a.lmdb. */
static void patch(const char *mark, size_t skip, const char *with, size_t n) {
  uint8_t *bytes;
  size_t size;
  check(file_read("a.lmdb", 1 << 28, &bytes, &size));
  uint8_t *at = memmem(bytes, size, mark, strlen(mark));
  assert_non_null(at);
  memcpy(at + skip, with, n);
  check(file_write("a.lmdb", bytes, size));
  free(bytes);
}

static void another_version_is_told_apart(void **state) {
  (void)state;
  struct dataset *d;
  write_pets("a.lmdb", 3, false);
  patch("version", 7, "\x05", 1);
  assert_int_equal(dataset_open(&d, "a.lmdb"), E_VERSION);
  assert_string_equal(
      fail_message(),
      "a.lmdb: a dataset of version 5, but this build reads version 1; ingest the images again");
}

static void a_damaged_sample_is_named(void **state) {
  (void)state;
  struct dataset *d;
  struct record r;
  write_pets("a.lmdb", 3, false);
  patch("\xff\xd8jpeg", 2, "JPEG", 4);
  check(dataset_open(&d, "a.lmdb"));
  check(dataset_read(d, 2, &r));
  assert_int_equal(dataset_read(d, 3, &r), E_FORMAT);
  assert_string_equal(fail_message(), "a.lmdb: sample 3: damaged: its checksum does not match");
  assert_int_equal(dataset_verify(d, NULL), E_FORMAT);
  dataset_close(&d);
}

static void damaged_and_foreign_files_are_refused(void **state) {
  (void)state;
  struct dataset *d;
  uint8_t *bytes;
  size_t size;
  assert_int_equal(dataset_open(&d, "nothing.lmdb"), E_NOT_FOUND);
  assert_int_equal(dataset_open(&d, "."), E_FORMAT);
  check(file_write("text.lmdb",
                   "I am not a dataset at all, and long enough to be looked at as if I were one.", 76));
  assert_int_equal(dataset_open(&d, "text.lmdb"), E_FORMAT);
  check(file_write("text.lmdb", "", 0));
  assert_int_equal(dataset_open(&d, "text.lmdb"), E_FORMAT);
  write_pets("a.lmdb", 300, false);
  check(file_read("a.lmdb", 1 << 28, &bytes, &size));
  check(file_write("text.lmdb", bytes, size / 2));
  assert_int_equal(dataset_open(&d, "text.lmdb"), E_FORMAT);
  assert_non_null(strstr(fail_message(), "truncated"));
  free(bytes);
  patch("classes", 9, "x", 1);
  assert_int_equal(dataset_open(&d, "a.lmdb"), E_FORMAT);
  assert_null(d);
}

static void a_feature_store_is_not_a_dataset(void **state) {
  (void)state;
  struct dataset *d;
  struct features_writer *w;
  check(features_writer_open(&w, "f.lmdb", "key", 4));
  check(features_writer_split(w, "train"));
  check(features_writer_commit(&w));
  assert_int_equal(dataset_open(&d, "f.lmdb"), E_FORMAT);
  assert_string_equal(fail_message(), "f.lmdb: not a dataset but another LMDB file");
}

static int enter_empty_folder(void **state) {
  (void)state;
  char folder[] = "case-XXXXXX";
  return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state) {
  (void)state;
  return chdir("..");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, enter_empty_folder, leave_folder)

int main(void) {
  const struct CMUnitTest tests[] = {CASE(written_samples_read_back),
                                     CASE(equal_content_gives_equal_files_and_fingerprints),
                                     CASE(values_larger_than_a_batch_and_a_growing_map),
                                     CASE(an_empty_split_is_fine),
                                     CASE(nothing_is_overwritten_unless_asked),
                                     CASE(abort_leaves_nothing),
                                     CASE(leftovers_of_the_dead_go_and_the_living_stay),
                                     CASE(a_full_disk_is_one_error_and_leaves_nothing),
                                     CASE(bad_samples_and_plans_are_refused),
                                     CASE(another_version_is_told_apart),
                                     CASE(a_damaged_sample_is_named),
                                     CASE(damaged_and_foreign_files_are_refused),
                                     CASE(a_feature_store_is_not_a_dataset)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
