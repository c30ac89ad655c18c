#include "wire/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

struct ledger {
  int fd;
  char path[PATH_MAX];
};

/* Bytes to keep of the whole lines whose steps come before first_step. */
static enum status kept_bytes(const char *path, const char *text, int64_t first_step, size_t *kept,
                              int64_t *last) {
  *kept = 0;
  *last = -1;
  int64_t number = 1;
  for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, number++) {
    int64_t step = -1;
    if (sscanf(line, "{\"step\": %" SCNd64 ",", &step) != 1 || step <= *last)
      return fail(E_FORMAT, "%s: line %" PRId64 " is not a ledger line; move the file away", path, number);
    if (step >= first_step) return OK;
    *last = step;
    *kept = (size_t)(end + 1 - text);
  }
  return OK;
}

static enum status cut_back(const char *path, int64_t first_step) {
  if (access(path, F_OK) != 0) return OK;
  uint8_t *text = NULL;
  size_t size = 0, kept = 0;
  int64_t last = -1;
  enum status st = OK;
  TRY(file_read(path, (size_t)1 << 40, &text, &size));
  TRY(kept_bytes(path, (const char *)text, first_step, &kept, &last));
  if (last + 1 < first_step)
    log_warn("%s ends with step %" PRId64 "; the run goes on from step %" PRId64, path, last, first_step);
  if (kept < size) TRY(file_write(path, text, kept));
out:
  free(text);
  return st;
}

enum status ledger_open(struct ledger **out, const char *path, int64_t first_step) {
  *out = NULL;
  enum status st = cut_back(path, first_step);
  if (st != OK) return st;
  struct ledger *l = calloc(1, sizeof *l);
  if (!l) return fail(E_MEMORY, "out of memory while opening %s", path);
  snprintf(l->path, sizeof l->path, "%s", path);
  l->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (l->fd < 0) {
    st = fail(E_IO, "cannot write %s: %s", path, strerror(errno));
    free(l);
    return st;
  }
  *out = l;
  return OK;
}

enum status ledger_append(struct ledger *ledger, const struct ledger_line *line) {
  char text[256];
  int n = snprintf(text, sizeof text,
                   "{\"step\": %" PRId64 ", \"images\": %" PRId64 ", \"tickets\": \"%016" PRIx64
                   "\", \"pixels\": \"%016" PRIx64 "\", \"labels\": \"%016" PRIx64 "\"}\n",
                   line->step, line->images, line->tickets, line->pixels, line->labels);
  ssize_t written = write(ledger->fd, text, (size_t)n);
  if (written == n) return OK;
  return fail(E_IO, "cannot write %s: %s", ledger->path, written < 0 ? strerror(errno) : "the disk is full");
}

enum status ledger_sync(struct ledger *ledger) {
  if (fsync(ledger->fd) == 0) return OK;
  return fail(E_IO, "cannot write %s: %s", ledger->path, strerror(errno));
}

void ledger_close(struct ledger **ledger) {
  if (!*ledger) return;
  close((*ledger)->fd);
  free(*ledger);
  *ledger = NULL;
}
