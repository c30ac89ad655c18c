/* Which backends a test finds: those of the build. Without CUDA in the build it has no cuda, without the CPU's math
 * libraries no cpu, under emulation only cuda and ref. */
#ifndef TESTS_BACKENDS_H
#define TESTS_BACKENDS_H

#include <string.h>

#include "nn/engine.h"

static inline bool has_backend(const char *name) { return backend_find(name, strlen(name)) != NULL; }

/* Whether this machine has the device of a backend of the build; if not, fail_message() says what is missing. */
static inline bool device_opens(const struct graph_config *config) {
  struct graph *g = NULL;
  enum status st = graph_open(&g, config);
  graph_close(&g);
  return st == OK;
}

#endif
