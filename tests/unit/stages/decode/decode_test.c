#include "decode/decode.h"

#include <unistd.h>

#include "store/dataset.h"
#include "test.h"
#include "transform/policy.h"

enum { IMAGES = 8, SIDE = 8000 }; /* 1.5 GB of pixels, if anybody decoded them */

static const char *const path = "large.lmdb";

/* The images say how large they are and are nothing else: a shard is refused before it is decoded. */
static void make_dataset(void) {
  struct dataset_writer *w;
  const char *const classes[] = {"c"};
  const struct dataset_plan plan = {"large", classes, 1, NULL, 0};
  assert_int_equal(dataset_writer_open(&w, path, &plan, true), OK);
  assert_int_equal(dataset_writer_split(w, "train"), OK);
  for (int i = 0; i < IMAGES; i++) {
    const struct record r = {.encoding = ENCODING_JPEG,
                             .bytes = (const uint8_t *)"?",
                             .size = 1,
                             .width = SIDE,
                             .height = SIDE,
                             .label = 0};
    assert_int_equal(dataset_writer_add(w, &r), OK);
  }
  assert_int_equal(dataset_writer_commit(&w, (double[]){0, 0, 0}, (double[]){1, 1, 1}), OK);
}

static void a_shard_that_cannot_travel_is_refused_with_the_remedy(void **state) {
  (void)state;
  make_dataset();
  static struct decode d;
  const char *paths[] = {path};
  assert_int_equal(decode_open(&d, &(struct cli_list){.items = paths, .count = 1}, 1), OK);
  struct policy *policy = NULL;
  assert_int_equal(policy_load(&policy, "evaluate", 0), OK);
  uint64_t ids[IMAGES];
  for (uint64_t i = 0; i < IMAGES; i++) ids[i] = i;
  struct work work = {
      .ticket = {.dataset = d.fingerprints[0], .ids = {ids, IMAGES}, .policy = text_of(policy_json(policy))}};
  assert_int_equal(decode_shard(&d, &work), E_ARG);
  assert_non_null(strstr(fail_message(), "lower --shard"));
  assert_false(work.has_frame[FRAME_PIXELS]);
  while (work.n_arrays) free(work.arrays[--work.n_arrays]);
  policy_close(&policy);
  decode_close(&d);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_shard_that_cannot_travel_is_refused_with_the_remedy)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
