/* Any bytes as a message header: refused, or read and written back to what reads the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct message m, again;
  void *storage = NULL, *storage_again = NULL;
  if (message_decode(data, size, &m, &storage) != OK) return 0;
  uint8_t *bytes = NULL, *bytes_again = NULL;
  size_t n = 0, n_again = 0;
  if (message_encode(&m, &bytes, &n) != OK || message_decode(bytes, n, &again, &storage_again) != OK ||
      message_encode(&again, &bytes_again, &n_again) != OK || n != n_again ||
      memcmp(bytes, bytes_again, n) != 0)
    abort();
  free(storage);
  free(storage_again);
  free(bytes);
  free(bytes_again);
  return 0;
}
