#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

enum status(fail)(enum status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return status;
}

enum status fail_within(enum status status, const char *format, ...) {
  char inner[sizeof message];
  memcpy(inner, message, sizeof inner);
  va_list args;
  va_start(args, format);
  int n = vsnprintf(message, sizeof message, format, args);
  va_end(args);
  if (n >= 0 && (size_t)n < sizeof message) snprintf(message + n, sizeof message - (size_t)n, ": %s", inner);
  return status;
}

const char *fail_message(void) { return message; }

const char *status_name(enum status status) {
  static const char *const names[] = {"ok",         "bad argument", "bad shape",     "out of memory",
                                      "i/o error",  "bad format",   "wrong version", "not found",
                                      "exists",     "try again",    "interrupted",   "device error",
                                      "peer error", "not finite"};
  return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown status";
}
