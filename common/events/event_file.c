#include "event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "tfrecord.h"

struct event_file {
  FILE *stream;
  char path[PATH_MAX];
};

static enum status io_error(const char *path) {
  return fail(E_IO, "cannot write %s: %s%s", path, strerror(errno), file_advice(errno));
}

static double wall_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* TensorBoard reads a folder's files in the order of their names and a file only once, so every start gets its own:
 * one within the second of another takes the next. */
static int create(struct event_file *f, const char *folder) {
  char host[HOST_NAME_MAX + 1] = "";
  int fd = -1;
  if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "localhost");
  for (int64_t second = (int64_t)wall_time(); fd < 0; second++) {
    int n = snprintf(f->path, sizeof f->path, "%s/events.out.tfevents.%010" PRId64 ".%s.tandem", folder,
                     second, host);
    if (n >= (int)sizeof f->path) return errno = ENAMETOOLONG, -1;
    fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  return fd;
}

/* Takes the event: writes and frees it. */
static enum status append_take(struct event_file *f, struct pb *event) {
  enum status st = event->failed ? fail(E_MEMORY, "out of memory") : OK;
  if (st == OK) {
    tfrecord_write(f->stream, event->bytes, event->size);
    if (fflush(f->stream) != 0 || ferror(f->stream)) st = io_error(f->path);
  }
  pb_free(event);
  return st;
}

enum status event_file_open(struct event_file **out, const char *folder, int64_t first_step) {
  enum status st = OK;
  struct event_file *f = *out = calloc(1, sizeof *f);
  if (!f) return fail(E_MEMORY, "out of memory");
  int fd = create(f, folder);
  if (fd < 0 || !(f->stream = fdopen(fd, "wb"))) {
    st = io_error(f->path);
    if (fd >= 0) close(fd);
    goto out;
  }
  struct pb version = {0}, start = {0};
  event_version(&version, wall_time());
  TRY(append_take(f, &version));
  event_start(&start, wall_time(), first_step);
  TRY(append_take(f, &start));
out:
  if (st != OK) event_file_close(out);
  return st;
}

void event_file_close(struct event_file **file) {
  if (*file && (*file)->stream) fclose((*file)->stream);
  free(*file);
  *file = NULL;
}

enum status event_file_scalars(struct event_file *f, int64_t step, const struct event_scalar *scalars,
                               size_t n) {
  struct pb event = {0};
  event_scalars(&event, wall_time(), step, scalars, n);
  return append_take(f, &event);
}

enum status event_file_image(struct event_file *f, int64_t step, const struct event_image *image) {
  struct pb event = {0};
  event_image(&event, wall_time(), step, image);
  return append_take(f, &event);
}

enum status event_file_sync(struct event_file *f) {
  return fsync(fileno(f->stream)) == 0 ? OK : io_error(f->path);
}
