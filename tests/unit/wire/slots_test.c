#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "wire/slot_reader.h"

enum { MIB = 1 << 20 };

struct bench {
  struct slots slots;
  struct slot_reader reader;
};

/* A producer and a reader in one process: what it names as its own, /proc shows it. */
static int set_up(void **state) {
  static struct bench b;
  struct message greeting = {0};
  b = (struct bench){0};
  slots_open(&b.slots, 4 * MIB);
  slots_greet(&b.slots, &greeting);
  assert_int_equal(greeting.pid, getpid());
  assert_int_equal(slot_reader_open(&b.reader, &greeting), OK);
  *state = &b;
  return 0;
}

static int tear_down(void **state) {
  struct bench *b = *state;
  slot_reader_close(&b->reader);
  slots_close(&b->slots);
  return 0;
}

static void fill(const struct slot *s, uint8_t seed) {
  for (size_t i = 0; i < s->bytes; i++) slot_payload(s)[i] = (uint8_t)(seed + i * 7);
}

static void assert_filled(const struct payload *p, size_t bytes, uint8_t seed) {
  assert_int_equal(p->size, bytes);
  for (size_t i = 0; i < bytes; i++) assert_int_equal(p->at[i], (uint8_t)(seed + i * 7));
}

static void payloads_of_any_size_arrive(void **state) {
  struct bench *b = *state;
  static const size_t sizes[] = {1, 3, 63, 4095, 4096, 4097, 12289, MIB - 1, MIB + 1, 2 * MIB + 17, 5};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct slot *s = slots_take(&b->slots, sizes[i]);
    assert_non_null(s);
    assert_int_equal((uintptr_t)slot_payload(s) % 64, 0);
    fill(s, (uint8_t)i);
    struct memory_place place = slot_place(s);
    struct payload p;
    assert_int_equal(slot_reader_map(&b->reader, &place, &p), OK);
    assert_filled(&p, sizes[i], (uint8_t)i);
    slot_free(&s);
    assert_null(s);
    assert_true(payload_intact(&p)); /* free, but not used again yet */
    payload_close(&p);
  }
  assert_true(b->slots.n <= 2 && b->reader.n <= 2); /* one slot at a time, replaced by larger ones */
}

static void a_slot_used_again_is_noticed(void **state) {
  struct bench *b = *state;
  struct slot *s = slots_take(&b->slots, 1000);
  struct memory_place first = slot_place(s);
  struct payload held, p;
  assert_int_equal(slot_reader_map(&b->reader, &first, &held), OK);
  assert_true(payload_intact(&held));
  slot_free(&s);
  s = slots_take(&b->slots, 500);
  assert_false(payload_intact(&held));
  struct memory_place second = slot_place(s);
  assert_int_equal(second.fd, first.fd);
  assert_int_equal(second.nonce, first.nonce);
  assert_true(second.generation > first.generation);
  assert_int_equal(slot_reader_map(&b->reader, &first, &p), E_NOT_FOUND);
  assert_int_equal(slot_reader_map(&b->reader, &second, &p), OK);
  payload_close(&p);
  payload_close(&held);
  slot_free(&s);
}

static void memory_is_bounded(void **state) {
  struct bench *b = *state;
  struct slot *s[5] = {0};
  for (int i = 0; i < 4; i++) assert_non_null(s[i] = slots_take(&b->slots, MIB));
  assert_null(slots_take(&b->slots, 1)); /* 4 MiB are taken */
  assert_int_equal(b->slots.backed, 4 * MIB);
  slot_free(&s[2]);
  assert_null(slots_take(&b->slots, MIB + 1)); /* no room to grow */
  assert_non_null(s[2] = slots_take(&b->slots, MIB));
  for (int i = 0; i < 4; i++) slot_free(&s[i]);
  slots_trim(&b->slots);
  assert_int_equal(b->slots.backed, 0);
  assert_int_equal(b->slots.n, 0);
  assert_non_null(s[0] = slots_take(&b->slots, 4 * MIB));
  assert_null(slots_take(&b->slots, 4 * MIB + 1));
  assert_null(slots_take(&b->slots, 0));
  assert_null(slots_take(&b->slots, SIZE_MAX));
  slot_free(&s[0]);
}

static void a_closed_slot_stays_readable_and_is_not_found_again(void **state) {
  struct bench *b = *state;
  struct slot *s = slots_take(&b->slots, 1000);
  fill(s, 9);
  struct memory_place old = slot_place(s);
  struct payload p, none;
  assert_int_equal(slot_reader_map(&b->reader, &old, &p), OK);
  slot_free(&s);
  s = slots_take(&b->slots,
                 MIB); /* larger than the room of the first: a file of its own, with the same number */
  struct memory_place place = slot_place(s);
  assert_int_equal(place.fd, old.fd);
  assert_true(place.nonce != old.nonce);
  struct payload q;
  assert_int_equal(slot_reader_map(&b->reader, &place, &q), OK);
  assert_int_equal(b->reader.n, 1);
  assert_int_equal(slot_reader_map(&b->reader, &old, &none), E_NOT_FOUND);
  assert_filled(&p, 1000, 9);
  assert_true(payload_intact(&p));
  slot_reader_close(&b->reader);
  assert_filled(&p, 1000, 9);
  payload_close(&p);
  payload_close(&q);
  slot_free(&s);
}

static void wrong_places_are_refused(void **state) {
  struct bench *b = *state;
  struct slot *s = slots_take(&b->slots, 5000);
  struct memory_place good = slot_place(s), bad;
  struct payload p;
#define REFUSED(change, status)                                                                              \
  bad = good, bad.change, assert_int_equal(slot_reader_map(&b->reader, &bad, &p), status), assert_null(p.map)
  for (int known = 0; known < 2; known++) { /* before the file has been mapped, and after */
    REFUSED(nonce ^= 1, E_NOT_FOUND);
    REFUSED(fd = 1 << 20, E_NOT_FOUND);
    REFUSED(fd = INT32_MAX, E_NOT_FOUND);
    REFUSED(generation++, E_NOT_FOUND);
    REFUSED(generation--, E_NOT_FOUND);
    REFUSED(bytes = 2 * 8192 + 1, E_FORMAT); /* twice 5000, rounded up to pages, and one byte */
    REFUSED(bytes = UINT64_MAX, E_FORMAT);
    assert_int_equal(slot_reader_map(&b->reader, &good, &p), OK);
    payload_close(&p);
  }
#undef REFUSED
  struct slot_reader closed = {0};
  assert_int_equal(slot_reader_map(&closed, &good, &p), E_FORMAT);
  slot_free(&s);
}

/* What a number may mean in another process: a pipe, an ordinary file, memory that could shrink, no slot, a huge one. */
static void other_files_are_not_mapped(void **state) {
  struct bench *b = *state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  int files[] = {ends[0],
                 open("ordinary", O_RDWR | O_CREAT | O_CLOEXEC, 0600),
                 open("/dev/null", O_RDONLY),
                 memfd_create("a", MFD_ALLOW_SEALING),
                 memfd_create("b", MFD_ALLOW_SEALING),
                 memfd_create("c", MFD_ALLOW_SEALING)};
  enum { FILES = sizeof files / sizeof *files };
  static const struct slot_page page = {SLOT_MAGIC, 5, 1};
  for (int i = 1; i < FILES; i++) {
    if (i != 2) assert_int_equal(ftruncate(files[i], i == 5 ? (off_t)1 << 50 : 8192), 0);
    if (i != 2 && i != 4) assert_int_equal(pwrite(files[i], &page, sizeof page, 0), sizeof page);
  }
  for (int i = 4; i < FILES; i++) assert_int_equal(fcntl(files[i], F_ADD_SEALS, F_SEAL_SHRINK), 0);
  for (int i = 0; i < FILES; i++) {
    struct memory_place place = {(uint64_t)files[i], 5, 1, 100};
    struct payload p;
    assert_int_equal(slot_reader_map(&b->reader, &place, &p), E_NOT_FOUND);
    close(files[i]);
  }
  close(ends[1]);
  struct message stranger = {.pid = (uint64_t)getppid(), .memory = {0, 5, 0, 0}};
  struct slot_reader reader;
  assert_int_equal(slot_reader_open(&reader, &stranger), E_NOT_FOUND);
  assert_int_equal(reader.pid, 0);
  stranger.pid = 0;
  assert_int_equal(slot_reader_open(&reader, &stranger), E_NOT_FOUND);
}

/* A process with no descriptors left says so, instead of taking the slot for gone. */
static void lack_of_descriptors_is_an_error_of_its_own(void **state) {
  struct bench *b = *state;
  struct slot *s = slots_take(&b->slots, 100);
  struct memory_place place = slot_place(s);
  int hog[4096], n = 0;
  while (n < 4096 && (hog[n] = dup(0)) >= 0) n++;
  struct payload p;
  if (n < 4096) assert_int_equal(slot_reader_map(&b->reader, &place, &p), E_IO);
  while (n) close(hog[--n]);
  assert_int_equal(slot_reader_map(&b->reader, &place, &p), OK);
  payload_close(&p);
  slot_free(&s);
}

static void nothing_but_the_producer_writes(void **state) {
  struct bench *b = *state;
  struct slot *s = slots_take(&b->slots, 4096);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    assert_int_equal(pwrite(fd, "x", 1, SLOT_PAGE), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    close(fd);
  }
  slot_free(&s);
}

static void without_memory_there_are_no_slots(void **state) {
  (void)state;
  struct slots none;
  struct message greeting = {.pid = 1, .memory = {1, 1, 1, 1}};
  slots_open(&none, 0);
  slots_greet(&none, &greeting);
  assert_int_equal(greeting.pid, 0);
  assert_int_equal(greeting.memory.nonce, 0);
  assert_null(slots_take(&none, 1));
  slots_close(&none);
}

/* Writes round after round into the same slot, without waiting for the reader at the other end. */
static void produce(int to_reader) {
  struct slots slots;
  slots_open(&slots, MIB);
  struct message greeting = {0};
  slots_greet(&slots, &greeting);
  if (write(to_reader, &greeting, sizeof greeting) != sizeof greeting) _exit(1);
  for (uint8_t round = 0;; round++) {
    struct slot *s = slots_take(&slots, 100000);
    memset(slot_payload(s), round, s->bytes);
    struct memory_place place = slot_place(s);
    if (write(to_reader, &place, sizeof place) != sizeof place) _exit(1);
    slot_free(&s);
  }
}

/* Every payload that is still the same after its last byte was read is whole; and it outlives its producer. */
static void intact_means_whole_across_processes(void **state) {
  (void)state;
  int pipes[2];
  assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) produce(pipes[1]);
  close(pipes[1]);
  struct message greeting;
  struct slot_reader reader;
  assert_int_equal(read(pipes[0], &greeting, sizeof greeting), sizeof greeting);
  assert_int_equal(slot_reader_open(&reader, &greeting), OK);
  struct payload p = {0};
  int whole = 0, torn = 0;
  for (int i = 0; i < 20000 && (whole < 20 || torn < 20); i++) {
    struct memory_place place;
    assert_int_equal(read(pipes[0], &place, sizeof place), sizeof place);
    payload_close(&p);
    enum status st = slot_reader_map(&reader, &place, &p);
    assert_true(st == OK || st == E_NOT_FOUND);
    size_t other = 0;
    for (size_t k = 0; k < p.size; k++) other += p.at[k] != p.at[0];
    bool intact = st == OK && payload_intact(&p);
    if (intact) assert_int_equal(other, 0);
    whole += intact;
    torn += !intact;
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  volatile uint8_t last = p.size ? p.at[p.size - 1] : 0; /* no fault */
  (void)last;
  payload_close(&p);
  slot_reader_close(&reader);
  close(pipes[0]);
  printf("# %d whole, %d used again\n", whole, torn);
}

int main(void) {
#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {WITH_BENCH(payloads_of_any_size_arrive),
                                     WITH_BENCH(a_slot_used_again_is_noticed),
                                     WITH_BENCH(memory_is_bounded),
                                     WITH_BENCH(a_closed_slot_stays_readable_and_is_not_found_again),
                                     WITH_BENCH(wrong_places_are_refused),
                                     WITH_BENCH(other_files_are_not_mapped),
                                     WITH_BENCH(lack_of_descriptors_is_an_error_of_its_own),
                                     WITH_BENCH(nothing_but_the_producer_writes),
                                     cmocka_unit_test(without_memory_there_are_no_slots),
                                     cmocka_unit_test(intact_means_whole_across_processes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
