/* The driver of a fuzz target where no fuzzing engine is linked: feeds it every file of
 * tests/fuzz/corpus/NAME (NAME_fuzz is the program's name; TANDEM_ROOT the sources) and seeded mutations of
 * each, so that the target is also a quick test. Finding nothing to replay is a failure. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "fuzz.h"

enum { MUTATIONS = 300, MAX_INPUT = 1 << 20 };

/* Feeds a copy of its own size, so that reading beyond the end is seen by the sanitizer. */
static void feed(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  if (!copy) abort();
  if (size) memcpy(copy, bytes, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

/* One small change in place; returns the new size. `room` >= size + 8. */
static size_t mutate(struct rng *r, uint8_t *bytes, size_t size) {
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, 0xc0, 0xd9, '{', '"', '9'};
  if (size == 0) return bytes[0] = (uint8_t)rng_next(r), 1;
  size_t at = rng_below(rng_next(r), (uint32_t)size), n = 1 + rng_below(rng_next(r), 8);
  switch (rng_below(rng_next(r), 6)) {
  case 0: bytes[at] ^= (uint8_t)(1U << rng_below(rng_next(r), 8)); return size;
  case 1: bytes[at] = values[rng_below(rng_next(r), sizeof values)]; return size;
  case 2: return at; /* cut off */
  case 3:            /* taken out */
    if (at + n >= size) return size;
    memmove(bytes + at, bytes + at + n, size - at - n);
    return size - n;
  case 4: /* doubled */
    if (at + n > size) n = size - at;
    memmove(bytes + at + n, bytes + at, size - at);
    return size + n;
  default: /* copied from elsewhere */
    if (at + n > size) n = size - at;
    memmove(bytes + rng_below(rng_next(r), (uint32_t)(size - n + 1)), bytes + at, n);
    return size;
  }
}

static void replay(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size + 64);
  if (!copy) abort();
  feed(bytes, size);
  for (uint32_t i = 0; i < MUTATIONS; i++) {
    struct rng r = rng_at(size, i, 0, 0);
    memcpy(copy, bytes, size);
    size_t n = size;
    for (uint32_t k = 0; k < 1 + i % 4; k++) n = mutate(&r, copy, n);
    feed(copy, n);
  }
  free(copy);
}

int main(int argc, char **argv) {
  (void)argc;
  char pattern[4096];
  const char *root = getenv("TANDEM_ROOT"), *slash = strrchr(argv[0], '/'),
             *name = slash ? slash + 1 : argv[0];
  const char *end = strstr(name, "_fuzz");
  snprintf(pattern, sizeof pattern, "%s/tests/fuzz/corpus/%.*s/*", root ? root : ".",
           end ? (int)(end - name) : 0, name);
  glob_t found;
  if (glob(pattern, 0, NULL, &found) != 0) {
    fprintf(stderr, "%s: nothing to replay in %s\n", name, pattern);
    return 1;
  }
  int failed = 0;
  for (size_t i = 0; i < found.gl_pathc && !failed; i++) {
    uint8_t *bytes;
    size_t size;
    failed = file_read(found.gl_pathv[i], MAX_INPUT, &bytes, &size) != OK;
    if (failed)
      fprintf(stderr, "%s\n", fail_message());
    else
      replay(bytes, size);
    free(bytes);
  }
  printf("%zu inputs and %d mutations of each\n", found.gl_pathc, MUTATIONS);
  globfree(&found);
  return failed;
}
