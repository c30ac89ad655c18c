#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>

#include "test.h"
#include "wire/message.h"
#include "wire/ticket.h"

static const uint64_t numbers[] = {0, 1, 127, 128, 255, 256, 65535};
static const struct text strings[] = {{"ipc:///tmp/a", 12}, {"tcp://127.0.0.1:5555", 20}};

static const struct text keys[] = {{"", 0}, {"00ff", 4}};

/* Every field of every kind set to something. */
static struct message example(enum message_kind kind) {
  struct numbers n = {numbers, 7};
  struct texts t = {strings, 2};
  return (struct message){.kind = kind,
                          .role = text_of("decode"),
                          .worker = text_of("host:1:ab"),
                          .build = text_of("1"),
                          .check = text_of("00ff"),
                          .host = text_of("0123456789abcdef"),
                          .serve = t,
                          .key = text_of("00"),
                          .datasets = t,
                          .dataset = text_of("0123"),
                          .pid = 4711,
                          .memory = {5, 9007199254740991, 3, 4096},
                          .shared = 1,
                          .beat_ms = 500,
                          .silence_ms = 5000,
                          .run = text_of("d\xc3\xa9mo"),
                          .incarnation = 9007199254740991,
                          .attempt = 3,
                          .lease_ms = 10000,
                          .step = 4294967295,
                          .shard = 7,
                          .reason = text_of("because"),
                          .decoders = t,
                          .keys = {keys, 2},
                          .bytes = 6,
                          .credits = 5,
                          .credit_bytes = 7,
                          .avoid = t,
                          .count = {1, 2, 3, 4, 5, 6, {7, 8, 9, 10, 11, 12}},
                          .height = n,
                          .width = n,
                          .offset = n,
                          .left = n,
                          .top = n,
                          .whole_height = n,
                          .whole_width = n,
                          .params = {numbers, 5}};
}

static void every_kind_survives_the_wire(void **state) {
  (void)state;
  for (int k = 0; k < MESSAGE_KINDS; k++) {
    struct message in = example((enum message_kind)k), out;
    uint8_t *bytes, *again;
    size_t size, size_again;
    void *storage;
    assert_int_equal(message_encode(&in, &bytes, &size), OK);
    assert_int_equal(message_decode(bytes, size, &out, &storage), OK);
    assert_int_equal(out.kind, k);
    assert_int_equal(message_encode(&out, &again, &size_again), OK);
    assert_int_equal(size, size_again);
    assert_memory_equal(bytes, again, size);
    /* No prefix of a message is a message. */
    for (size_t cut = 0; cut < size; cut++) {
      void *none;
      uint8_t *part = malloc(cut + 1);
      memcpy(part, bytes, cut);
      assert_int_equal(message_decode(part, cut, &out, &none), E_FORMAT);
      assert_null(none);
      free(part);
    }
    free(storage);
    free(bytes);
    free(again);
  }
}

struct frame {
  msgpack_sbuffer buffer;
  msgpack_packer packer;
};

static void begin(struct frame *f, size_t pairs, uint64_t version, const char *kind) {
  msgpack_sbuffer_init(&f->buffer);
  msgpack_packer_init(&f->packer, &f->buffer, msgpack_sbuffer_write);
  msgpack_pack_map(&f->packer, pairs);
  msgpack_pack_str_with_body(&f->packer, "v", 1);
  msgpack_pack_uint64(&f->packer, version);
  msgpack_pack_str_with_body(&f->packer, "kind", 4);
  msgpack_pack_str_with_body(&f->packer, kind, strlen(kind));
}

static void key(struct frame *f, const char *name) {
  msgpack_pack_str_with_body(&f->packer, name, strlen(name));
}

/* All fields but credits. */
static void begin_want(struct frame *f, size_t pairs) {
  begin(f, pairs + 2, 1, "want");
  key(f, "credit_bytes");
  msgpack_pack_uint64(&f->packer, 1);
  key(f, "shared");
  msgpack_pack_uint64(&f->packer, 1);
}

static enum status read_and_free(struct frame *f, struct message *m) {
  void *storage;
  enum status st = message_decode(f->buffer.data, f->buffer.size, m, &storage);
  free(storage);
  msgpack_sbuffer_destroy(&f->buffer);
  return st;
}

static void wrong_fields_are_refused(void **state) {
  (void)state;
  struct frame f;
  struct message m;
  begin_want(&f, 3);
  key(&f, "credits");
  msgpack_pack_uint64(&f.packer, 5);
  assert_int_equal(read_and_free(&f, &m), OK);
  assert_int_equal(m.credits, 5);
  begin_want(&f, 2); /* missing */
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  begin_want(&f, 3); /* negative */
  key(&f, "credits");
  msgpack_pack_int64(&f.packer, -1);
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  begin_want(&f, 3); /* over its limit */
  key(&f, "credits");
  msgpack_pack_uint64(&f.packer, (uint64_t)1 << 53);
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  begin_want(&f, 3); /* another type */
  key(&f, "credits");
  msgpack_pack_str_with_body(&f.packer, "5", 1);
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  begin_want(&f, 4); /* unknown key */
  key(&f, "credits");
  msgpack_pack_uint64(&f.packer, 5);
  key(&f, "more");
  msgpack_pack_uint64(&f.packer, 5);
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  begin_want(&f, 4); /* repeated key */
  key(&f, "credits");
  msgpack_pack_uint64(&f.packer, 5);
  key(&f, "credits");
  msgpack_pack_uint64(&f.packer, 6);
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  begin(&f, 2, 1, "nonsense");
  assert_int_equal(read_and_free(&f, &m), E_FORMAT);
  assert_int_equal((int)m.kind, -1);
  begin(&f, 2, 2, "hello"); /* another version: its kind can still be told, to be answered */
  assert_int_equal(read_and_free(&f, &m), E_VERSION);
  assert_int_equal(m.kind, MESSAGE_HELLO);
}

static void texts_must_be_clean_utf8(void **state) {
  (void)state;
  static const struct {
    const char *text;
    enum status expected;
  } cases[] = {{"plain", OK},
               {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", OK},
               {"a\nb", E_FORMAT},
               {"\x1b[2J", E_FORMAT},
               {"\xc0\xaf", E_FORMAT},
               {"\xe2\x82", E_FORMAT},
               {"\xed\xa0\x80", E_FORMAT},
               {"\xff", E_FORMAT},
               {"\xf4\x90\x80\x80", E_FORMAT},
               {"\x7f", E_FORMAT}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct frame f;
    struct message m;
    begin(&f, 3, 1, "bye");
    key(&f, "reason");
    msgpack_pack_str_with_body(&f.packer, cases[i].text, strlen(cases[i].text));
    assert_int_equal(read_and_free(&f, &m), cases[i].expected);
  }
}

/* Five bytes that ask msgpack-c for 137 GB. */
static void promised_counts_are_not_believed(void **state) {
  (void)state;
  static const uint8_t bombs[][16] = {{0x82, 0xa1, 'v', 0x01, 0xa1, 'x', 0xdd, 0xff, 0xff, 0xff, 0xff},
                                      {0xdf, 0xff, 0xff, 0xff, 0xff},
                                      {0xde, 0xff, 0xff},
                                      {0x82, 0xa1, 'v', 0x01, 0xa1, 'x', 0xdb, 0xff, 0xff, 0xff, 0xff}};
  for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
    struct message m;
    void *storage;
    assert_int_equal(message_decode(bombs[i], sizeof bombs[i], &m, &storage), E_FORMAT);
  }
  static uint8_t large[FRAME_MAX + 1];
  struct message m;
  void *storage;
  assert_int_equal(message_decode(large, sizeof large, &m, &storage), E_FORMAT);
  assert_int_equal(message_decode(large, 0, &m, &storage), E_FORMAT);
}

static void limits_hold_when_writing_too(void **state) {
  (void)state;
  static char text[2000];
  memset(text, 'x', sizeof text - 1);
  struct message m = {.kind = MESSAGE_BYE, .reason = text_of(text)};
  uint8_t *bytes;
  size_t size;
  assert_int_equal(message_encode(&m, &bytes, &size), E_ARG);
  assert_null(bytes);
}

static struct ticket example_ticket(const uint64_t *ids, uint32_t n) {
  static const struct text splits[] = {{"train", 5}, {"unlabeled", 9}};
  return (struct ticket){.dataset = text_of("00112233445566778899aabbccddeeff"),
                         .splits = {splits, 2},
                         .step = 12,
                         .shard = 3,
                         .first = 96,
                         .ids = {ids, n},
                         .seed = UINT64_MAX,
                         .policy = text_of("{}")};
}

static void tickets_survive_the_wire(void **state) {
  (void)state;
  static const uint64_t ids[] = {5, UINT64_MAX, 0};
  struct ticket in = example_ticket(ids, 3), out;
  uint8_t *bytes, *again;
  size_t size, size_again;
  assert_int_equal(ticket_encode(&in, &bytes, &size), OK);
  assert_int_equal(ticket_decode(bytes, size, &out), OK);
  assert_int_equal(out.ids.count, 3);
  assert_true(out.ids.at[1] == UINT64_MAX && out.seed == UINT64_MAX && out.first == 96);
  assert_true(text_is(out.splits.at[1], "unlabeled"));
  assert_int_equal(ticket_encode(&out, &again, &size_again), OK);
  assert_int_equal(size, size_again);
  assert_memory_equal(bytes, again, size);
  ticket_free(&out);
  free(bytes);
  free(again);
}

static void impossible_tickets_are_refused(void **state) {
  (void)state;
  static const uint64_t ids[SHARD_IMAGES + 1];
  struct ticket t = example_ticket(ids, SHARD_IMAGES + 1), out;
  uint8_t *bytes;
  size_t size;
  assert_int_equal(ticket_encode(&t, &bytes, &size), E_ARG);
  t = example_ticket(ids, 0);
  assert_int_equal(ticket_encode(&t, &bytes, &size), OK);
  assert_int_equal(ticket_decode(bytes, size, &out), E_FORMAT);
  free(bytes);
  t = example_ticket(ids, 2);
  t.first = 95; /* would cut a pair in two */
  assert_int_equal(ticket_encode(&t, &bytes, &size), OK);
  assert_int_equal(ticket_decode(bytes, size, &out), E_FORMAT);
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_survives_the_wire),  cmocka_unit_test(wrong_fields_are_refused),
      cmocka_unit_test(texts_must_be_clean_utf8),      cmocka_unit_test(promised_counts_are_not_believed),
      cmocka_unit_test(limits_hold_when_writing_too),  cmocka_unit_test(tickets_survive_the_wire),
      cmocka_unit_test(impossible_tickets_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
