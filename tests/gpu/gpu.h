/* What the tests of a real GPU share. */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include "backends.h"
#include "test.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

/* A counted skip where there is none, with what is missing. */
static inline void skip_without_gpu(void) {
  if (device_opens(&(struct graph_config){.device = "cuda"})) return;
  print_message("%s\n", fail_message());
  skip();
}

#endif
