/* Any descriptor of pixels in shared memory: refused, or a place within a slot that can be read to its last byte. Bytes are
 * turned into calls, each of which names a slot of this process with fields that are right, wrong or nearly so. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire/slot_reader.h"

enum { SLOTS = 3, HELD = 4 };

struct input {
  const uint8_t *at, *end;
};

static uint64_t number(struct input *in, size_t bytes) {
  uint64_t v = 0;
  for (; bytes-- && in->at < in->end; in->at++) v = v << 8 | *in->at;
  return v;
}

/* The right value, one beside it, or any. */
static uint64_t near(struct input *in, uint64_t right) {
  switch (number(in, 1) % 8) {
  case 0: return right + 1;
  case 1: return right - 1;
  case 2: return number(in, 8);
  default: return right;
  }
}

static void one_call(struct input *in, struct slots *slots, struct slot **taken, struct slot_reader *reader,
                     struct payload *held) {
  uint8_t what = (uint8_t)number(in, 1);
  struct slot **slot = &taken[what % SLOTS];
  if (what >= 192) { /* the slot gets another payload, perhaps in another file */
    slot_free(slot);
    *slot = slots_take(slots, number(in, 2) + 1);
    return;
  }
  if (!*slot) return;
  struct memory_place right = slot_place(*slot), place = {.fd = near(in, right.fd),
                                                          .nonce = near(in, right.nonce),
                                                          .generation = near(in, right.generation),
                                                          .bytes = near(in, right.bytes)};
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
  struct input in = {data, data + size};
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
