#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct atomic_file {
  FILE *stream;
  char path[PATH_MAX], temporary[PATH_MAX];
};

const char *file_advice(int error) {
  switch (error) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG: return "; free some space or choose another place";
  case EACCES:
  case EPERM:
  case EROFS: return "; check the permissions or choose another place";
  case ENOENT: return "; check the path";
  default: return "";
  }
}

int file_write_error(int fd) {
  enum { MOST = 64 }; /* pages: there may be some room left */
  static const uint8_t page[4096];
  off_t end = lseek(fd, 0, SEEK_END);
  for (int i = 0; i < MOST && end >= 0; i++, end += (off_t)sizeof page)
    if (pwrite(fd, page, sizeof page, end) < 0) return errno;
  return EIO;
}

static enum status io_error(const char *verb, const char *path, int error) {
  return fail(E_IO, "cannot %s %s: %s%s", verb, path, strerror(error), file_advice(error));
}

enum status atomic_file_open(struct atomic_file **out, const char *path) {
  *out = NULL;
  struct atomic_file *f = calloc(1, sizeof *f);
  if (!f) return fail(E_MEMORY, "out of memory while opening %s", path);
  int n = snprintf(f->path, sizeof f->path, "%s", path);
  int m = snprintf(f->temporary, sizeof f->temporary, "%s.tmp-%ld", path, (long)getpid());
  if (n >= (int)sizeof f->path || m >= (int)sizeof f->temporary) {
    free(f);
    return fail(E_ARG, "the path is too long: %.80s...", path);
  }
  f->stream = fopen(f->temporary, "wb");
  if (!f->stream) {
    enum status st = io_error("write", path, errno);
    free(f);
    return st;
  }
  *out = f;
  return OK;
}

FILE *atomic_file_stream(struct atomic_file *file) { return file->stream; }

enum status file_sync_parent(const char *path) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (!slash)
    strcpy(folder, ".");
  else
    slash[slash == folder] = '\0';
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return io_error("open the folder", folder, errno);
  int rc = fsync(fd), error = errno;
  close(fd);
  /* Some file systems cannot sync a folder; their rename is as safe as it gets. */
  return rc == 0 || error == EINVAL || error == EROFS ? OK : io_error("sync the folder", folder, error);
}

enum status atomic_file_commit(struct atomic_file **file) {
  struct atomic_file *f = *file;
  *file = NULL;
  enum status st = OK;
  int bad = fflush(f->stream) != 0 || fsync(fileno(f->stream)) != 0, error = errno;
  if (ferror(f->stream)) bad = 1, error = file_write_error(fileno(f->stream));
  if (fclose(f->stream) != 0 && !bad) bad = 1, error = errno;
  if (!bad && rename(f->temporary, f->path) != 0) bad = 1, error = errno;
  if (bad) {
    st = io_error("write", f->path, error);
    unlink(f->temporary);
  } else {
    st = file_sync_parent(f->path);
  }
  free(f);
  return st;
}

void atomic_file_abort(struct atomic_file **file) {
  struct atomic_file *f = *file;
  *file = NULL;
  if (!f) return;
  fclose(f->stream);
  unlink(f->temporary);
  free(f);
}

enum status file_write(const char *path, const void *data, size_t size) {
  struct atomic_file *f;
  enum status st = atomic_file_open(&f, path);
  if (st != OK) return st;
  fwrite(data, 1, size, f->stream); /* a short write sets the stream's error, which commit reports */
  return atomic_file_commit(&f);
}

enum status file_read(const char *path, size_t limit, uint8_t **data, size_t *size) {
  *data = NULL;
  *size = 0;
  struct stat info;
  uint8_t *bytes = NULL;
  enum status st = OK;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not hold anybody up */
  if (fd < 0) return io_error("read", path, errno);
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    st = fail(E_IO, "cannot read %s: not a regular file", path);
    goto out;
  }
  if ((uint64_t)info.st_size > limit) {
    st = fail(E_FORMAT, "%s: %lld bytes, more than the %zu this reads", path, (long long)info.st_size, limit);
    goto out;
  }
  size_t want = (size_t)info.st_size, have = 0;
  bytes = malloc(want + 1);
  if (!bytes) {
    st = fail(E_MEMORY, "out of memory while reading %s", path);
    goto out;
  }
  while (have < want) {
    ssize_t n = read(fd, bytes + have, want - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      st = io_error("read", path, errno);
      goto out;
    }
    if (n == 0) break; /* it shrank meanwhile: hand over what is there */
    have += (size_t)n;
  }
  bytes[have] = 0;
  *data = bytes;
  *size = have;
  bytes = NULL;
out:
  free(bytes);
  close(fd);
  return st;
}

enum status file_lock_folder(const char *path, int *lock) {
  *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*lock < 0) return io_error("open the folder", path, errno);
  if (flock(*lock, LOCK_EX | LOCK_NB) == 0) return OK;
  int error = errno;
  close(*lock);
  *lock = -1;
  if (error != EWOULDBLOCK) return io_error("lock the folder", path, error);
  return fail(E_EXISTS, "another process is writing to %s; stop it or choose another place", path);
}

enum status file_make_folder(const char *path) {
  char part[PATH_MAX];
  if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
    return fail(E_ARG, "the path is too long: %.80s...", path);
  for (char *p = part + 1;; p++) {
    if (*p != '/' && *p != '\0') continue;
    char saved = *p;
    *p = '\0';
    struct stat info;
    if (mkdir(part, 0777) != 0 && (errno != EEXIST || stat(part, &info) != 0 || !S_ISDIR(info.st_mode)))
      return io_error("create the folder", part, errno == EEXIST ? ENOTDIR : errno);
    *p = saved;
    if (!saved) return OK;
  }
}
