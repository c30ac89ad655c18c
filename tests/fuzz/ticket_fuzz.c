/* Any bytes as a ticket body: refused, or read and written back to what reads the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ticket t, again;
  if (ticket_decode(data, size, &t) != OK) return 0;
  uint8_t *bytes = NULL, *bytes_again = NULL;
  size_t n = 0, n_again = 0;
  if (ticket_encode(&t, &bytes, &n) != OK || ticket_decode(bytes, n, &again) != OK ||
      ticket_encode(&again, &bytes_again, &n_again) != OK || n != n_again ||
      memcmp(bytes, bytes_again, n) != 0)
    abort();
  ticket_free(&t);
  ticket_free(&again);
  free(bytes);
  free(bytes_again);
  return 0;
}
