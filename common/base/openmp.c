#include "base/openmp.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

void openmp_wait_briefly(char **argv) {
  if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
  char program[PATH_MAX]; /* by its own name: /proc/self/exe would make `ps` show "exe" */
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0 || setenv("GOMP_SPINCOUNT", "1000", 1) != 0) return;
  program[length] = '\0';
  execv(program, argv);
  /* Where that fails the threads spin: slower, not wrong. */
}
