/* Events against bytes that Google's protocol buffers library wrote with TensorBoard's definitions. */
#include "events/event.h"

#include "events/tfrecord.h"
#include "test.h"

static void assert_bytes(struct pb *pb, const void *expected, size_t size) {
  assert_false(pb->failed);
  assert_int_equal(pb->size, size);
  assert_memory_equal(pb->bytes, expected, size);
  pb_free(pb);
}
#define ASSERT_BYTES(pb, ...)                                                                                \
  assert_bytes(&(pb), (const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})

static void the_version(void **state) {
  (void)state;
  struct pb pb = {0};
  event_version(&pb, 1);
  ASSERT_BYTES(pb, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x1a, 0x0d, 'b', 'r', 'a', 'i', 'n', '.', 'E', 'v',
               'e', 'n', 't', ':', '2');
}

static void a_start(void **state) {
  (void)state;
  struct pb pb = {0};
  event_start(&pb, 1.5, 300);
  ASSERT_BYTES(pb, 0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 0xac, 0x02, 0x3a, 0x02, 0x08, 0x01);
}

static void a_negative_step_takes_ten_bytes(void **state) {
  (void)state;
  struct pb pb = {0};
  event_start(&pb, 1, -1);
  ASSERT_BYTES(pb, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
               0xff, 0x01, 0x3a, 0x02, 0x08, 0x01);
}

static void scalars(void **state) {
  (void)state;
  struct pb pb = {0};
  const struct event_scalar two[] = {{"lr", 0.03}, {"loss/total", -2.5}};
  event_scalars(&pb, 2, 7, two, 2);
  ASSERT_BYTES(pb, 0x09, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x10, 0x07, 0x2a, 0x1e, 0x0a, 0x09, 0x0a, 0x02, 'l', 'r',
               0x15, 0x8f, 0xc2, 0xf5, 0x3c, 0x0a, 0x11, 0x0a, 0x0a, 'l', 'o', 's', 's', '/', 't', 'o', 't',
               'a', 'l', 0x15, 0, 0, 0x20, 0xc0);
}

static void an_image(void **state) {
  (void)state;
  struct pb pb = {0};
  const struct event_image image = {"pairs", .width = 300, .height = 2, (const uint8_t *)"\x89PNG", 4};
  event_image(&pb, 2, 7, &image);
  ASSERT_BYTES(pb, 0x09, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x10, 0x07, 0x2a, 0x18, 0x0a, 0x16, 0x0a, 0x05, 'p', 'a',
               'i', 'r', 's', 0x22, 0x0d, 0x08, 0x02, 0x10, 0xac, 0x02, 0x18, 0x03, 0x22, 0x04, 0x89, 'P',
               'N', 'G');
}

static void a_large_field_has_a_long_length(void **state) {
  (void)state;
  struct pb pb = {0};
  static const uint8_t zeros[70000];
  pb_bytes(&pb, 16, zeros, sizeof zeros);
  assert_int_equal(pb.size, sizeof zeros + 5);
  assert_memory_equal(pb.bytes, "\x82\x01\xf0\xa2\x04", 5); /* field 16 takes two bytes; 70000 three */
  assert_memory_equal(pb.bytes + 5, zeros, sizeof zeros);
  pb_free(&pb);
}

/* As TensorFlow frames the same event. */
static void a_record(void **state) {
  (void)state;
  static const uint8_t expected[] = {0x18, 0,    0,    0,   0,   0,   0,    0,    0xa3, 0x7f,
                                     0x4b, 0x22, 0x09, 0,   0,   0,   0,    0,    0,    0xf0,
                                     0x3f, 0x1a, 0x0d, 'b', 'r', 'a', 'i',  'n',  '.',  'E',
                                     'v',  'e',  'n',  't', ':', '2', 0x86, 0xbf, 0x57, 0x7a};
  uint8_t written[sizeof expected + 1];
  struct pb pb = {0};
  event_version(&pb, 1);
  FILE *file = fmemopen(written, sizeof written, "w");
  assert_non_null(file);
  tfrecord_write(file, pb.bytes, pb.size);
  assert_int_equal(ftell(file), sizeof expected);
  fclose(file);
  assert_memory_equal(written, expected, sizeof expected);
  pb_free(&pb);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_version),
                                     cmocka_unit_test(a_start),
                                     cmocka_unit_test(a_negative_step_takes_ten_bytes),
                                     cmocka_unit_test(scalars),
                                     cmocka_unit_test(an_image),
                                     cmocka_unit_test(a_large_field_has_a_long_length),
                                     cmocka_unit_test(a_record)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
