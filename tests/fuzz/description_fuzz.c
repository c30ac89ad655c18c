#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/description.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct description d = {0};
  static const uint8_t seal_start[] = {0x8a, 0xa4, 'x', 'x', 'h', '3', 0xcf};
  uint8_t *copy = malloc(size + SEAL_BYTES);
  if (!copy) return 0;
  memcpy(copy, seal_start, sizeof seal_start);
  if (size) memcpy(copy + SEAL_BYTES, data, size);
  seal(copy, size + SEAL_BYTES, 0);
  if (description_parse(&d, copy, size + SEAL_BYTES) == OK && strlen(d.info.fingerprint) != FINGERPRINT_HEX)
    __builtin_trap();
  description_free(&d);
  description_parse(&d, data, size); /* and with whatever checksum it has */
  description_free(&d);
  free(copy);
  return 0;
}
