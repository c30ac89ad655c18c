#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *log_program = "tandem";
static enum log_level log_threshold = LOG_INFO;

void log_open(const char *program, enum log_level threshold) {
  log_program = program;
  log_threshold = threshold;
}

void log_line(enum log_level level, const char *format, ...) {
  if (level < log_threshold) return;
  static const char *const tags[] = {"debug: ", "", "warning: ", "error: "};
  /* A live progress bar leaves the cursor mid-line; on a terminal clear it first. */
  char line[2048];
  int n = snprintf(line, sizeof line, "%s%s: %s", isatty(STDERR_FILENO) ? "\r\033[K" : "", log_program,
                   tags[level]);
  va_list args;
  va_start(args, format);
  int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
  va_end(args);
  if (m < 0) return;
  n = n + m < (int)sizeof line - 1 ? n + m : (int)sizeof line - 2;
  line[n++] = '\n';
  ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);
  (void)ignored;
}
