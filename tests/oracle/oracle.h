/* Numbers from other programs that tests compare with: tests/oracle/NAME, each written by the make_*.py beside it. */
#ifndef ORACLE_ORACLE_H
#define ORACLE_ORACLE_H

#include "store/safetensors.h"
#include "test.h"

/* Opens one, wherever the test runs (TANDEM_ROOT). NULL, and the reason printed, if that fails. */
static inline struct safetensors *oracle_open(const char *name) {
  char path[4096];
  const char *root = getenv("TANDEM_ROOT");
  struct safetensors *file = NULL;
  snprintf(path, sizeof path, "%s/tests/oracle/%s", root ? root : ".", name);
  if (safetensors_open(&file, path) != OK) print_error("%s\n", fail_message());
  return file;
}

#endif
