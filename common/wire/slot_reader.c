#include "wire/slot_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What this process lacks, or what the peer does not have. */
static enum status open_error(const char *what) {
  enum status st = errno == EMFILE || errno == ENFILE || errno == EAGAIN ? E_IO
                   : errno == ENOMEM                                     ? E_MEMORY
                                                                         : E_NOT_FOUND;
  return fail(st, "cannot %s another process's memory: %s", what, strerror(errno));
}

/* All memory files lie on one device of the kernel's. A number from a peer may mean any file of that process: only
 * such a one is opened for reading, since opening a device or a pipe can have effects. */
static enum status is_memory_file(int fd) {
  struct stat theirs, own;
  int file = memfd_create("tandem", MFD_CLOEXEC);
  if (file < 0) return open_error("compare");
  bool same = fstat(file, &own) == 0 && fstat(fd, &theirs) == 0 && S_ISREG(theirs.st_mode) &&
              theirs.st_dev == own.st_dev;
  close(file);
  return same ? OK : fail(E_NOT_FOUND, "another process names a file that is not shared memory");
}

static enum status open_file(uint64_t pid, uint64_t number, int *out) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRIu64 "/fd/%" PRIu64, pid, number);
  int seen = open(path, O_PATH | O_CLOEXEC);
  if (seen < 0) return open_error("open");
  enum status st = is_memory_file(seen);
  snprintf(path, sizeof path, "/proc/self/fd/%d", seen);
  if (st == OK && (*out = open(path, O_RDONLY | O_CLOEXEC)) < 0) st = open_error("open");
  close(seen);
  return st;
}

/* Sealed against shrinking, it stays as readable as it is now. */
static enum status map_file(struct slot_map *m, int fd) {
  struct stat s;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &s) != 0 || s.st_size < SLOT_PAGE ||
      (uint64_t)s.st_size > SLOT_PAGE + 2 * SLOTS_BYTES_MAX)
    return fail(E_NOT_FOUND, "another process names memory that is not a slot");
  m->size = (size_t)s.st_size;
  void *at = mmap(NULL, m->size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return open_error("map");
  m->page = at;
  if (m->page->magic == SLOT_MAGIC && m->page->nonce == m->nonce) return OK;
  return fail(E_NOT_FOUND, "another process's memory is not the slot that was meant");
}

static void drop_map(struct slot_map **map) {
  struct slot_map *m = *map;
  *map = NULL;
  if (!m || --m->users > 0) return;
  if (m->page) munmap((void *)(uintptr_t)m->page, m->size);
  free(m);
}

static enum status open_map(struct slot_map **out, uint64_t pid, const struct memory_place *place) {
  struct slot_map *m = *out = calloc(1, sizeof *m);
  if (!m) return fail(E_MEMORY, "out of memory");
  *m = (struct slot_map){.users = 1, .fd = place->fd, .nonce = place->nonce};
  int fd = -1;
  enum status st = open_file(pid, place->fd, &fd);
  if (st == OK) st = map_file(m, fd);
  if (fd >= 0) close(fd);
  if (st != OK) drop_map(out);
  return st;
}

enum status slot_reader_open(struct slot_reader *reader, const struct message *greeting) {
  *reader = (struct slot_reader){0};
  if (!greeting->pid) return fail(E_NOT_FOUND, "it shares no memory");
  struct slot_map *page = NULL;
  enum status st = open_map(&page, greeting->pid, &greeting->memory);
  if (st == OK) reader->pid = greeting->pid;
  drop_map(&page);
  return st;
}

void slot_reader_close(struct slot_reader *reader) {
  while (reader->n) drop_map(&reader->maps[--reader->n]);
  *reader = (struct slot_reader){0};
}

/* The map of a file of the peer's. A number that now means another file takes the place of the old one. */
static enum status find_map(struct slot_reader *r, const struct memory_place *place, struct slot_map **out) {
  int i = 0;
  while (i < r->n && r->maps[i]->fd != place->fd) i++;
  if (i < r->n && r->maps[i]->nonce == place->nonce) {
    *out = r->maps[i];
    return OK;
  }
  struct slot_map *fresh = NULL;
  enum status st = open_map(&fresh, r->pid, place);
  if (st != OK) return st;
  if (i == SLOTS_MAX) i = r->turn++ % SLOTS_MAX; /* more than any producer has: some are dead */
  if (i == r->n) r->maps[r->n++] = NULL;
  drop_map(&r->maps[i]);
  *out = r->maps[i] = fresh;
  return OK;
}

enum status slot_reader_map(struct slot_reader *r, const struct memory_place *place, struct payload *out) {
  *out = (struct payload){0};
  if (!r->pid) return fail(E_FORMAT, "pixels in memory that this session does not share");
  struct slot_map *m = NULL;
  enum status st = find_map(r, place, &m);
  if (st != OK) return st;
  if (place->bytes > m->size - SLOT_PAGE)
    return fail(E_FORMAT, "pixels beyond the end of their slot in shared memory");
  struct payload p = {(const uint8_t *)m->page + SLOT_PAGE, place->bytes, m, place->generation};
  if (!payload_intact(&p)) return fail(E_NOT_FOUND, "a slot in shared memory that holds other pixels by now");
  m->users++;
  *out = p;
  return OK;
}

bool payload_intact(const struct payload *payload) {
  if (!payload->map) return true;
  atomic_thread_fence(memory_order_acquire); /* after the last byte of the payload */
  return atomic_load_explicit(&payload->map->page->generation, memory_order_relaxed) == payload->generation;
}

void payload_close(struct payload *payload) {
  drop_map(&payload->map);
  *payload = (struct payload){0};
}
