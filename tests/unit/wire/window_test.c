#include "test.h"

#include "image/image.h"
#include "store/dataset.h"
#include "wire/window.h"

enum { SMALL = 40, LARGE = 6, LARGE_SIDE = 3000 };

static void add(struct dataset_writer *writer, int32_t side, int count) {
  struct image image = {side, side, calloc((size_t)side * (size_t)side, 3)};
  uint8_t *bytes;
  size_t size;
  assert_int_equal(jpeg_encode(&image, 50, &bytes, &size), OK);
  struct record r = {
      .encoding = ENCODING_JPEG, .bytes = bytes, .size = size, .width = side, .height = side, .label = -1};
  for (int i = 0; i < count; i++) assert_int_equal(dataset_writer_add(writer, &r), OK);
  free(bytes);
  image_free(&image);
}

/* Small images first, then large ones of 27 MB decoded. */
static int make_dataset(void **state) {
  struct dataset_writer *writer;
  struct dataset_plan plan = {.name = "mixed"};
  static const double half[3] = {.5, .5, .5};
  assert_int_equal(dataset_writer_open(&writer, "mixed.lmdb", &plan, true), OK);
  assert_int_equal(dataset_writer_split(writer, "train"), OK);
  add(writer, 16, SMALL);
  add(writer, LARGE_SIDE, LARGE);
  assert_int_equal(dataset_writer_commit(&writer, half, half), OK);
  struct dataset *dataset;
  assert_int_equal(dataset_open(&dataset, "mixed.lmdb"), OK);
  *state = dataset;
  return 0;
}

static int close_dataset(void **state) {
  struct dataset *dataset = *state;
  dataset_close(&dataset);
  return 0;
}

static void open_window(struct window *w, struct dataset *dataset) {
  static const char *const train[] = {"train"};
  struct policy *policy;
  assert_int_equal(policy_load(&policy, "cifar", 32), OK);
  struct feed_plan plan = {.run = "test",
                           .splits = train,
                           .n_splits = 1,
                           .policy = policy_json(policy),
                           .batch = SMALL + LARGE,
                           .last_step = -1};
  assert_int_equal(window_open(w, dataset, &plan, 32, 1), OK);
  policy_close(&policy);
}

static void shards_end_with_their_images_or_their_bytes(void **state) {
  struct window w;
  open_window(&w, *state);
  /* 32 small ones; 8 small and 2 large (54 MB; 4 would be 108); 2; 2 */
  static const int64_t wanted[] = {32, 10, 2, 2};
  const struct batch *b = window_batch(&w, 0);
  assert_int_equal(b->n_shards, 4);
  int64_t first = 0;
  for (int k = 0; k < 4; k++) {
    assert_int_equal(b->shards[k].first, first);
    assert_int_equal(b->shards[k].n, wanted[k]);
    struct ticket t;
    assert_int_equal(ticket_decode(b->shards[k].body, b->shards[k].body_size, &t), OK);
    assert_int_equal(t.first, first);
    assert_int_equal(t.ids.count, wanted[k]);
    ticket_free(&t);
    first += wanted[k];
  }
  assert_int_equal(first, SMALL + LARGE);
  window_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
      shards_end_with_their_images_or_their_bytes, make_dataset, close_dataset)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
