#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "image/image.h"

enum status records_open(struct records *r, const char *folder, const char *name, size_t record_size) {
  struct stat info;
  r->size = record_size;
  r->fd = -1;
  if (snprintf(r->path, sizeof r->path, "%s/%s", folder, name) >= (int)sizeof r->path)
    return fail(E_ARG, "the path is too long: %.80s...", folder);
  r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
  if (r->fd < 0)
    return fail(errno == ENOENT ? E_NOT_FOUND : E_IO, "cannot read %s: %s%s", r->path, strerror(errno),
                file_advice(errno));
  if (fstat(r->fd, &info) != 0 || !S_ISREG(info.st_mode))
    return fail(E_IO, "cannot read %s: not a regular file", r->path);
  r->count = (int64_t)((size_t)info.st_size / record_size);
  if (r->count == 0 || (size_t)info.st_size % record_size != 0)
    return fail(E_FORMAT, "%s: %lld bytes are not a whole number of records of %zu; download it again",
                r->path, (long long)info.st_size, record_size);
  return OK;
}

void records_close(struct records *r) {
  if (r->fd >= 0) close(r->fd);
  r->fd = -1;
}

enum status records_read(const struct records *r, int64_t i, uint8_t *out) {
  for (size_t have = 0; have < r->size;) {
    ssize_t n = pread(r->fd, out + have, r->size - have, (off_t)((size_t)i * r->size + have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return fail(E_IO, "cannot read record %lld of %s: %s", (long long)i, r->path,
                  n ? strerror(errno) : "it shrank");
    have += (size_t)n;
  }
  return OK;
}

enum status read_class_names(const char *folder, const char *name, size_t n, char **names) {
  char path[1024];
  uint8_t *text;
  size_t size, found = 0;
  enum status st = OK;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (access(path, F_OK) != 0) return fail(E_NOT_FOUND, "there is no %s", path);
  TRY(file_read(path, 1 << 16, &text, &size));
  char *rest = (char *)text;
  for (char *line; (line = strtok_r(rest, "\r\n", &rest)); found++)
    if (found < n && !(names[found] = strdup(line))) st = fail(E_MEMORY, "out of memory");
  free(text);
  if (st == OK && found != n)
    st = fail(E_FORMAT, "%s: %zu class names; there are %zu classes", path, found, n);
out:
  return st;
}

void inner_folder(const char *folder, const char *inner, char *out, size_t size) {
  struct stat info;
  snprintf(out, size, "%s/%s", folder, inner);
  if (stat(out, &info) != 0 || !S_ISDIR(info.st_mode)) snprintf(out, size, "%s", folder);
}

enum status planes_to_rgb(const uint8_t *planes, int32_t side, int x_step, int y_step, struct image *out) {
  size_t area = (size_t)side * (size_t)side;
  *out = (struct image){side, side, malloc(3 * area)};
  if (!out->pixels) return fail(E_MEMORY, "out of memory");
  uint8_t *p = out->pixels;
  for (int32_t y = 0; y < side; y++)
    for (int32_t x = 0; x < side; x++)
      for (size_t c = 0; c < 3; c++) *p++ = planes[c * area + (size_t)(y * y_step + x * x_step)];
  return OK;
}
