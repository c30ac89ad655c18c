#include "events/crc32c.h"

#include "events/tfrecord.h"
#include "test.h"

/* RFC 3720, B.4 */
static void known_vectors(void **state) {
  (void)state;
  uint8_t bytes[32];
  assert_int_equal(crc32c("", 0), 0);
  assert_int_equal(crc32c("123456789", 9), 0xe3069283u);
  memset(bytes, 0, sizeof bytes);
  assert_int_equal(crc32c(bytes, sizeof bytes), 0x8a9136aau);
  memset(bytes, 0xff, sizeof bytes);
  assert_int_equal(crc32c(bytes, sizeof bytes), 0x62a8ab43u);
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
  assert_int_equal(crc32c(bytes, sizeof bytes), 0x46dd794eu);
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
  assert_int_equal(crc32c(bytes, sizeof bytes), 0x113fdb5cu);
}

static void it_is_stored_masked(void **state) {
  (void)state;
  assert_int_equal(tfrecord_crc("123456789", 9), 0xc78ab0e5u);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(known_vectors), cmocka_unit_test(it_is_stored_masked)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
