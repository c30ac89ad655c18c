/* Which backends a test finds: those of the build. Without CUDA in the build it has no cuda, without the CPU's math
 * libraries no cpu, under emulation only cuda and ref. */
#ifndef TESTS_BACKENDS_H
#define TESTS_BACKENDS_H

#include <string.h>

#include "nn/engine.h"

static inline bool has_backend(const char *name) { return backend_find(name, strlen(name)) != NULL; }

#endif
