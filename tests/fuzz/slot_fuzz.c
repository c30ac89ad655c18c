/* Any descriptor of pixels in shared memory: refused, or a place within a slot that can be read to its last byte. Bytes are
 * turned into calls, each of which names a slot of this process with fields that are right, wrong or nearly so. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire/slot_reader.h"

enum { SLOTS = 3, HELD = 4 };

static void one_call(struct fuzz_input *in, struct slots *slots, struct slot **taken,
                     struct slot_reader *reader, struct payload *held) {
  uint8_t what = (uint8_t)fuzz_number(in, 1);
  struct slot **slot = &taken[what % SLOTS];
  if (what >= 192) { /* the slot gets another payload, perhaps in another file */
    slot_free(slot);
    *slot = slots_take(slots, fuzz_number(in, 2) + 1);
    return;
  }
  if (!*slot) return;
  struct memory_place right = slot_place(*slot), place = {.fd = fuzz_near(in, right.fd),
                                                          .nonce = fuzz_near(in, right.nonce),
                                                          .generation = fuzz_near(in, right.generation),
                                                          .bytes = fuzz_near(in, right.bytes)};
  struct payload *p = &held[what / SLOTS % HELD];
  payload_close(p);
  if (slot_reader_map(reader, &place, p) != OK) {
    if (p->map || memcmp(&place, &right, sizeof place) == 0) abort();
    return;
  }
  if (p->size != place.bytes || place.nonce != p->map->page->nonce || !payload_intact(p)) abort();
  volatile uint8_t last = p->size ? p->at[p->size - 1] : 0;
  (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input in = {data, data + size};
  struct slots slots;
  struct slot *taken[SLOTS] = {0};
  struct slot_reader reader;
  struct payload held[HELD] = {0};
  struct message greeting = {0};
  slots_open(&slots, 1 << 20);
  slots_greet(&slots, &greeting);
  if (slots.open && slot_reader_open(&reader, &greeting) == OK) {
    while (in.at < in.end) one_call(&in, &slots, taken, &reader, held);
    slot_reader_close(&reader);
  }
  for (int i = 0; i < HELD; i++) payload_close(&held[i]);
  slots_close(&slots);
  return 0;
}
