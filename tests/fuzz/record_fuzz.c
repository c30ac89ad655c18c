#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/record.h"

/* The seal is made good first: without that nothing would get past the checksum. What is accepted and valid
 * must survive being packed again, byte for byte. */
static void read_sealed(const uint8_t *data, size_t size, uint8_t entries) {
  struct record_scratch scratch = {0};
  struct record record;
  const uint8_t seal_start[] = {0x80 | entries, 0xa4, 'x', 'x', 'h', '3', 0xcf};
  uint8_t *copy = malloc(size + SEAL_BYTES);
  if (!copy) return;
  memcpy(copy, seal_start, sizeof seal_start);
  if (size) memcpy(copy + SEAL_BYTES, data, size);
  seal(copy, size + SEAL_BYTES, 1);
  if (record_unpack(copy, size + SEAL_BYTES, 1, &record, &scratch) == OK &&
      record_check(&record, 10, 3) == OK) {
    struct record again;
    struct record_scratch second = {0};
    msgpack_sbuffer out = {0};
    if (record_pack(&record, 1, &out) != OK || out.size > size + SEAL_BYTES ||
        record_unpack((uint8_t *)out.data, out.size, 1, &again, &second) != OK || again.size != record.size ||
        again.n_restarts != record.n_restarts)
      __builtin_trap();
    msgpack_sbuffer_destroy(&out);
    record_scratch_free(&second);
  }
  record_scratch_free(&scratch);
  free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct record_scratch scratch = {0};
  struct record record;
  read_sealed(data, size, 8);
  read_sealed(data, size, 9);
  record_unpack(data, size, 1, &record, &scratch); /* and with whatever checksum it has */
  record_scratch_free(&scratch);
  return 0;
}
