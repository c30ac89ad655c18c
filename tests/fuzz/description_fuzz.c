#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/description.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct description d = {0};
  uint8_t *copy = malloc(size + SEAL_BYTES);
  if (!copy) return 0;
  memcpy(copy, "\x8a\xa4xxh3\xcf", 7);
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
