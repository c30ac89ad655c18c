/* A fuzz target: NAME_fuzz.c defines this function, which feeds `size` arbitrary bytes to one parser and
 * returns 0. scripts/fuzz links it with libFuzzer; the ordinary build with replay.c, which makes
 * it a test. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
