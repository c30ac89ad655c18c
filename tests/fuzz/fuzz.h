/* A fuzz target: NAME_fuzz.c defines this function, which feeds `size` arbitrary bytes to one parser and
 * returns 0. scripts/fuzz links it with libFuzzer; the ordinary build with replay.c, which makes
 * it a test. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- For targets that turn bytes into calls --------------------------------------------------------------- */

struct fuzz_input {
  const uint8_t *at, *end;
};

/* The next `bytes` bytes; 0 when there are none left. */
static inline uint64_t fuzz_number(struct fuzz_input *in, size_t bytes) {
  uint64_t v = 0;
  for (; bytes-- && in->at < in->end; in->at++) v = v << 8 | *in->at;
  return v;
}

/* The right value nearly always, or one beside it, or any. */
static inline uint64_t fuzz_near(struct fuzz_input *in, uint64_t right) {
  switch (fuzz_number(in, 1) % 32) {
  case 1: return right + 1;
  case 2: return right - 1;
  case 3: return fuzz_number(in, 8);
  default: return right;
  }
}

#endif
