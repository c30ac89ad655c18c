#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/features_meta.h"
#include "store/record.h"

/* The seal is made good first: without that nothing would get past the checksum. What is accepted must
 * survive being packed again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct features_meta meta, again;
  static const uint8_t seal_start[] = {0x86, 0xa4, 'x', 'x', 'h', '3', 0xcf};
  uint8_t *copy = malloc(size + SEAL_BYTES);
  if (!copy) return 0;
  memcpy(copy, seal_start, sizeof seal_start);
  if (size) memcpy(copy + SEAL_BYTES, data, size);
  seal(copy, size + SEAL_BYTES, 0);
  if (features_meta_parse(&meta, copy, size + SEAL_BYTES) == OK) {
    msgpack_sbuffer out = {0};
    features_meta_pack(&meta, &out);
    if (features_meta_parse(&again, (const uint8_t *)out.data, out.size) != OK || again.dim != meta.dim ||
        again.n_splits != meta.n_splits || again.key.size != meta.key.size)
      __builtin_trap();
    for (size_t i = 0; i < meta.n_splits; i++)
      if (strcmp(again.splits[i].name, meta.splits[i].name) != 0 ||
          again.splits[i].count != meta.splits[i].count)
        __builtin_trap();
    msgpack_sbuffer_destroy(&out);
  }
  features_meta_parse(&meta, data, size); /* and with whatever checksum it has */
  free(copy);
  return 0;
}
