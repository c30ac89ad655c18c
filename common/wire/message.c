#include "wire/message.h"

#include <stddef.h>
#include <string.h>

#define KIND(k)  (1U << MESSAGE_##k)
#define ENVELOPE (KIND(TICKET) | KIND(PASSED) | KIND(DECODED) | KIND(AUGMENTED) | KIND(ACK) | KIND(FAILED))
#define GREETING (KIND(HELLO) | KIND(WELCOME))
#define PAYLOAD  (KIND(DECODED) | KIND(AUGMENTED))
#define AT(m)    offsetof(struct message, m)

/* 2^53 - 1: the largest integer every JSON reader keeps. */
static const uint64_t json_max = 9007199254740991;
#define PIXELS_MAX 65535

static const struct {
  const char *name;
  int frames; /* header [, ticket body [, pixels [, parameters]]] */
} kinds[MESSAGE_KINDS] = {[MESSAGE_HELLO] = {"hello", 1},     [MESSAGE_WELCOME] = {"welcome", 1},
                          [MESSAGE_REFUSE] = {"refuse", 1},   [MESSAGE_DECODERS] = {"decoders", 1},
                          [MESSAGE_ALLOWED] = {"allowed", 1}, [MESSAGE_WANT] = {"want", 1},
                          [MESSAGE_TICKET] = {"ticket", 2},   [MESSAGE_PASSED] = {"passed", 1},
                          [MESSAGE_DECODED] = {"decoded", 3}, [MESSAGE_AUGMENTED] = {"augmented", 4},
                          [MESSAGE_ACK] = {"ack", 1},         [MESSAGE_FAILED] = {"failed", 1},
                          [MESSAGE_BEAT] = {"beat", 1},       [MESSAGE_BYE] = {"bye", 1}};

static const struct field table[] = {
    {"role", FIELD_TEXT, KIND(HELLO), AT(role), 16},
    {"worker", FIELD_TEXT, KIND(HELLO) | KIND(PASSED), AT(worker), WORKER_NAME_MAX},
    {"build", FIELD_TEXT, KIND(HELLO), AT(build), 64},
    {"check", FIELD_TEXT, KIND(HELLO), AT(check), 64},
    {"host", FIELD_TEXT, KIND(HELLO), AT(host), HOST_MAX},
    {"serve", FIELD_TEXTS, KIND(HELLO), AT(serve), ENDPOINT_MAX, SERVE_MAX},
    {"key", FIELD_TEXT, KIND(HELLO), AT(key), KEY_HEX},
    {"datasets", FIELD_TEXTS, KIND(HELLO), AT(datasets), 64, 64},
    {"dataset", FIELD_TEXT, KIND(WELCOME), AT(dataset), 64},
    {"beat_ms", FIELD_UINT, KIND(WELCOME), AT(beat_ms), 3600000},
    {"silence_ms", FIELD_UINT, KIND(WELCOME), AT(silence_ms), 3600000},
    {"pid", FIELD_UINT, GREETING, AT(pid), INT32_MAX},
    {"memory_fd", FIELD_UINT, GREETING | PAYLOAD, AT(memory.fd), INT32_MAX},
    {"memory_nonce", FIELD_UINT, GREETING | PAYLOAD, AT(memory.nonce), json_max},
    {"memory_generation", FIELD_UINT, PAYLOAD, AT(memory.generation), json_max},
    {"memory_bytes", FIELD_UINT, PAYLOAD, AT(memory.bytes), json_max},
    {"shared", FIELD_UINT, KIND(WELCOME) | KIND(WANT), AT(shared), 1},
    {"run", FIELD_TEXT, KIND(WELCOME) | ENVELOPE, AT(run), RUN_NAME_MAX},
    {"incarnation", FIELD_UINT, KIND(WELCOME) | ENVELOPE, AT(incarnation), json_max},
    {"attempt", FIELD_UINT, ENVELOPE, AT(attempt), UINT32_MAX},
    {"lease_ms", FIELD_UINT, KIND(TICKET) | KIND(DECODED) | KIND(AUGMENTED), AT(lease_ms), 86400000},
    {"step", FIELD_UINT, KIND(PASSED) | KIND(ACK) | KIND(FAILED), AT(step), UINT32_MAX},
    {"shard", FIELD_UINT, KIND(PASSED) | KIND(ACK) | KIND(FAILED), AT(shard), UINT32_MAX},
    {"avoid", FIELD_TEXTS, KIND(TICKET), AT(avoid), WORKER_NAME_MAX, AVOID_MAX},
    {"reason", FIELD_TEXT, KIND(REFUSE) | KIND(FAILED) | KIND(BYE), AT(reason), 1023},
    {"decoders", FIELD_TEXTS, KIND(DECODERS), AT(decoders), ENDPOINT_MAX, 240},
    {"keys", FIELD_TEXTS, KIND(DECODERS) | KIND(ALLOWED), AT(keys), KEY_HEX, KEYS_MAX},
    {"bytes", FIELD_UINT, KIND(TICKET), AT(bytes), json_max},
    {"credits", FIELD_UINT, KIND(WANT), AT(credits), json_max},
    {"credit_bytes", FIELD_UINT, KIND(WANT), AT(credit_bytes), json_max},
    {"shards", FIELD_UINT, KIND(BEAT), AT(count.shards), json_max},
    {"images", FIELD_UINT, KIND(BEAT), AT(count.images), json_max},
    {"bytes_in", FIELD_UINT, KIND(BEAT), AT(count.bytes_in), json_max},
    {"bytes_out", FIELD_UINT, KIND(BEAT), AT(count.bytes_out), json_max},
    {"busy_ms", FIELD_UINT, KIND(BEAT), AT(count.busy_ms), json_max},
    {"wait_ms", FIELD_UINT, KIND(BEAT), AT(count.wait_ms), json_max},
    {"damaged", FIELD_UINT, KIND(BEAT), AT(count.errors[ERROR_DAMAGED]), json_max},
    {"missing", FIELD_UINT, KIND(BEAT), AT(count.errors[ERROR_MISSING]), json_max},
    {"other", FIELD_UINT, KIND(BEAT), AT(count.errors[ERROR_OTHER]), json_max},
    {"unsent", FIELD_UINT, KIND(BEAT), AT(count.errors[ERROR_UNSENT]), json_max},
    {"lost", FIELD_UINT, KIND(BEAT), AT(count.errors[ERROR_LOST]), json_max},
    {"dropped", FIELD_UINT, KIND(BEAT), AT(count.errors[ERROR_DROPPED]), json_max},
    {"height", FIELD_UINTS, KIND(DECODED) | KIND(AUGMENTED), AT(height), PIXELS_MAX, SHARD_ENTRIES},
    {"width", FIELD_UINTS, KIND(DECODED) | KIND(AUGMENTED), AT(width), PIXELS_MAX, SHARD_ENTRIES},
    {"offset", FIELD_UINTS, KIND(DECODED) | KIND(AUGMENTED), AT(offset), json_max, SHARD_ENTRIES},
    {"left", FIELD_UINTS, KIND(DECODED), AT(left), PIXELS_MAX, SHARD_IMAGES},
    {"top", FIELD_UINTS, KIND(DECODED), AT(top), PIXELS_MAX, SHARD_IMAGES},
    {"whole_height", FIELD_UINTS, KIND(DECODED), AT(whole_height), PIXELS_MAX, SHARD_IMAGES},
    {"whole_width", FIELD_UINTS, KIND(DECODED), AT(whole_width), PIXELS_MAX, SHARD_IMAGES},
    {"params", FIELD_UINTS, KIND(AUGMENTED), AT(params), 1024, 8},
    {0}};

const char *message_kind_name(enum message_kind kind) { return kinds[kind].name; }

int message_frames(enum message_kind kind) { return kinds[kind].frames; }

static int kind_of(struct text name) {
  for (int k = 0; k < MESSAGE_KINDS; k++)
    if (text_is(name, kinds[k].name)) return k;
  return -1;
}

enum status message_decode(const void *frame, size_t size, struct message *out, void **storage) {
  *storage = NULL;
  memset(out, 0, sizeof *out);
  struct map map;
  enum status st = OK;
  TRY(map_open(&map, frame, size));
  uint64_t version = 0;
  struct text name = {0};
  TRY(map_head(&map, &version, &name));
  int kind = kind_of(name);
  out->kind = (enum message_kind)kind;
  if (version != WIRE_VERSION)
    TRY(fail(E_VERSION, "a message of protocol version %llu where this build speaks %d",
             (unsigned long long)version, WIRE_VERSION));
  if (kind < 0) TRY(fail(E_FORMAT, "a message of unknown kind '%.*s'", TEXT_ARG(name)));
  st = map_read(&map, table, 1U << kind, true, out, storage);
  if (st != OK) st = fail_within(st, "%s", kinds[kind].name);
out:
  return st;
}

enum status message_encode(const struct message *message, uint8_t **bytes, size_t *size) {
  enum status st =
      fields_pack(table, 1U << message->kind, WIRE_VERSION, kinds[message->kind].name, message, bytes, size);
  return st == OK ? OK : fail_within(st, "%s", kinds[message->kind].name);
}
