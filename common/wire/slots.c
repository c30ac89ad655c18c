#include "wire/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"

_Static_assert(sizeof(struct slot_page) <= SLOT_PAGE, "the page has room");

static size_t round_up(size_t n) { return (n + SLOT_PAGE - 1) / SLOT_PAGE * SLOT_PAGE; }

static void close_slot(struct slot **slot) {
  struct slot *s = *slot;
  if (!s) return;
  if (s->page) munmap(s->page, SLOT_PAGE + s->room);
  if (s->fd >= 0) close(s->fd);
  free(s);
  *slot = NULL;
}

/* Kernels from 6.3 want to hear that nobody will execute it, older ones do not know the word. */
static int memory_file(void) {
  int fd = memfd_create("tandem", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x0008U /* MFD_NOEXEC_SEAL */);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create("tandem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* A file with an address for `room` bytes and memory for none yet. Writable by this mapping only. */
static enum status map_file(struct slot *s) {
  size_t size = SLOT_PAGE + s->room;
  if ((s->fd = memory_file()) < 0 || ftruncate(s->fd, (off_t)size) != 0 ||
      fallocate(s->fd, 0, 0, SLOT_PAGE) != 0)
    return fail(E_IO, "no shared memory: %s", strerror(errno));
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
  if (at == MAP_FAILED) return fail(E_IO, "no shared memory: %s", strerror(errno));
  s->page = at;
  if (fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0)
    return fail(E_IO, "shared memory cannot be sealed: %s", strerror(errno));
  return OK;
}

static enum status open_slot(struct slot **out, size_t room) {
  enum status st = OK;
  struct slot *s = *out = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  s->fd = -1;
  s->room = round_up(room);
  uint64_t nonce = 0;
  TRY(map_file(s));
  if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
    TRY(fail(E_IO, "no random numbers: %s", strerror(errno)));
  s->page->magic = SLOT_MAGIC;
  s->page->nonce = nonce >> 11; /* 53 bits: what every JSON reader keeps */
out:
  if (st != OK) close_slot(out);
  return st;
}

/* Pages now rather than when they are written: then a full machine is an error here and not a SIGBUS there. */
static enum status back(struct slots *slots, struct slot *s, size_t bytes) {
  size_t wanted = round_up(bytes);
  if (wanted <= s->backed) return OK;
  if (wanted - s->backed > slots->limit - slots->backed) return E_MEMORY;
  if (fallocate(s->fd, 0, (off_t)(SLOT_PAGE + s->backed), (off_t)(wanted - s->backed)) != 0)
    return fail(E_MEMORY, "no shared memory for a shard of %zu bytes: %s", bytes, strerror(errno));
  slots->backed += wanted - s->backed;
  s->backed = wanted;
  return OK;
}

static void remove_slot(struct slots *slots, int i) {
  slots->backed -= slots->at[i]->backed;
  close_slot(&slots->at[i]);
  slots->at[i] = slots->at[--slots->n];
}

void slots_open(struct slots *slots, size_t limit) {
  *slots = (struct slots){.limit = limit / SLOT_PAGE * SLOT_PAGE};
  if (!slots->limit) return;
  slots->open = open_slot(&slots->greeting, 0) == OK;
  if (!slots->open) log_info("%s; payloads go through sockets", fail_message());
}

void slots_close(struct slots *slots) {
  while (slots->n) remove_slot(slots, slots->n - 1);
  close_slot(&slots->greeting);
  *slots = (struct slots){0};
}

void slots_greet(const struct slots *slots, struct message *greeting) {
  greeting->pid = slots->open ? (uint64_t)getpid() : 0;
  greeting->memory = (struct memory_place){0};
  if (slots->open) greeting->memory = slot_place(slots->greeting);
}

/* The free slot with the most memory; NULL: none. */
static struct slot *largest_free(struct slots *slots, int *index) {
  struct slot *best = NULL;
  for (int i = 0; i < slots->n; i++) {
    if (slots->at[i]->taken || (best && slots->at[i]->backed <= best->backed)) continue;
    best = slots->at[i];
    *index = i;
  }
  return best;
}

struct slot *slots_take(struct slots *slots, size_t bytes) {
  if (!slots->open || bytes == 0 || bytes > slots->limit) return NULL;
  int i = 0;
  struct slot *s = largest_free(slots, &i);
  if (s && s->room < bytes) {
    remove_slot(slots, i);
    s = NULL;
  }
  if (!s) { /* twice the room: shards of a run differ, and an address costs nothing */
    if (slots->n == SLOTS_MAX || open_slot(&s, 2 * bytes) != OK) return NULL;
    slots->at[slots->n++] = s;
  }
  if (back(slots, s, bytes) != OK) return NULL;
  s->taken = true;
  s->bytes = bytes;
  atomic_fetch_add_explicit(&s->page->generation, 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_release); /* before the first byte of the payload */
  return s;
}

void slot_free(struct slot **slot) {
  if (*slot) (*slot)->taken = false;
  *slot = NULL;
}

void slots_trim(struct slots *slots) {
  for (int i = slots->n; i-- > 0;)
    if (!slots->at[i]->taken) remove_slot(slots, i);
}

uint8_t *slot_payload(const struct slot *slot) { return (uint8_t *)slot->page + SLOT_PAGE; }

struct memory_place slot_place(const struct slot *slot) {
  return (struct memory_place){.fd = (uint64_t)slot->fd,
                               .nonce = slot->page->nonce,
                               .generation =
                                   atomic_load_explicit(&slot->page->generation, memory_order_relaxed),
                               .bytes = slot->bytes};
}
