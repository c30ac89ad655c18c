#include "train/held_out.h"

#include <string.h>

#include "test.h"

enum { CLASSES = 3, TRAIN = 90, MORE = 40, TEST = 30, IMAGES = 12 };

static void add(struct dataset_writer *writer, const char *split, int n, int32_t classes) {
  static const uint8_t pixel[3] = {1, 2, 3};
  assert_int_equal(dataset_writer_split(writer, split), OK);
  for (int i = 0; i < n; i++) {
    int32_t label = classes ? (i % 10 == 0   ? 1
                               : i % 10 == 1 ? 2
                                             : 0) %
                                  classes
                            : -1; /* most are of class 0 */
    struct record r = {.encoding = ENCODING_RGB8,
                       .bytes = pixel,
                       .size = sizeof pixel,
                       .width = 1,
                       .height = 1,
                       .label = label};
    assert_int_equal(dataset_writer_add(writer, &r), OK);
  }
}

/* Splits "unlabeled", "train", "test" and "one", which lacks class 2. */
static int make_dataset(void **state) {
  static const char *const classes[CLASSES] = {"a", "b", "c"};
  static const double half[3] = {.5, .5, .5};
  struct dataset_writer *writer;
  struct dataset_plan plan = {.name = "few", .classes = classes, .n_classes = CLASSES};
  assert_int_equal(dataset_writer_open(&writer, "few.lmdb", &plan, true), OK);
  add(writer, "unlabeled", MORE, 0);
  add(writer, "train", TRAIN, CLASSES);
  add(writer, "test", TEST, CLASSES);
  add(writer, "one", TEST, 2);
  assert_int_equal(dataset_writer_commit(&writer, half, half), OK);
  return dataset_open((struct dataset **)state, "few.lmdb") == OK ? 0 : -1;
}

static int close_dataset(void **state) {
  dataset_close((struct dataset **)state);
  return 0;
}

static const char *const trained[] = {"unlabeled", "train"};

static struct held_out chosen(struct dataset *dataset, const char *split, int64_t images) {
  struct held_out h;
  assert_int_equal(held_out_choose(&h, dataset, trained, 2, split, images), OK);
  return h;
}

/* How many of `n` chosen ones, which have to be different images of this split, are of each class. */
static void count(int64_t of_class[CLASSES], struct dataset *dataset, const char *name, int64_t first,
                  const int64_t *position, int64_t n) {
  const struct split *split = dataset_split(dataset, name);
  memset(of_class, 0, CLASSES * sizeof *of_class);
  for (int64_t i = 0; i < n; i++) {
    assert_in_range(position[i], first, first + split->count - 1);
    for (int64_t k = 0; k < i; k++) assert_true(position[k] != position[i]);
    of_class[split->entries[position[i] - first].label]++;
  }
}

static void every_class_gets_as_many_as_it_has_room_for(void **state) {
  int64_t of_class[CLASSES];
  struct held_out h = chosen(*state, "test", IMAGES);
  assert_string_equal(h.why_not, "");
  assert_int_equal(h.n_splits, 3);
  assert_string_equal(h.splits[2], "test");
  count(of_class, *state, "train", MORE, h.chosen, h.n_bank);
  for (int c = 0; c < CLASSES; c++) assert_int_equal(of_class[c], IMAGES / CLASSES);
  count(of_class, *state, "test", MORE + TRAIN, h.chosen + h.n_bank, h.n_held);
  assert_int_equal(of_class[0], IMAGES / CLASSES);
  for (int c = 1; c < CLASSES; c++) assert_int_equal(of_class[c], TEST / 10); /* all there are */
  held_out_free(&h);
  h = chosen(*state, "one", IMAGES);
  assert_int_equal(h.n_held, IMAGES / 2 + TEST / 10); /* of two classes, one has fewer */
  held_out_free(&h);
}

static void the_same_dataset_gives_the_same_images(void **state) {
  struct held_out a = chosen(*state, "test", IMAGES), b = chosen(*state, "test", IMAGES);
  assert_int_equal(a.n_bank + a.n_held, b.n_bank + b.n_held);
  assert_memory_equal(a.chosen, b.chosen, (size_t)(a.n_bank + a.n_held) * sizeof *a.chosen);
  bool in_order = true;
  for (int64_t i = 1; i < a.n_bank; i++) in_order = in_order && a.chosen[i] > a.chosen[i - 1];
  assert_false(in_order);
  held_out_free(&a);
  held_out_free(&b);
  a = chosen(*state, "test", 2); /* fewer than classes */
  assert_int_equal(a.n_bank, 2);
  held_out_free(&a);
}

static void what_cannot_be_scored_says_why(void **state) {
  static const struct {
    const char *split, *says;
  } cases[] = {{"nothing", "no split 'nothing'"}, {"train", "'train' is trained on"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct held_out h = chosen(*state, cases[i].split, IMAGES);
    assert_int_equal(h.n_bank + h.n_held, 0);
    assert_non_null(strstr(h.why_not, cases[i].says));
    held_out_free(&h);
  }
  struct held_out h;
  assert_int_equal(held_out_choose(&h, *state, trained, 1, "test", IMAGES), OK);
  assert_string_equal(h.why_not, "the images trained on have no labels");
  held_out_free(&h);
  assert_int_equal(held_out_choose(&h, *state, trained + 1, 1, "unlabeled", IMAGES), OK);
  assert_string_equal(h.why_not, "split 'unlabeled' has no labels");
  held_out_free(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_class_gets_as_many_as_it_has_room_for),
                                     cmocka_unit_test(the_same_dataset_gives_the_same_images),
                                     cmocka_unit_test(what_cannot_be_scored_says_why)};
  return cmocka_run_group_tests(tests, make_dataset, close_dataset);
}
