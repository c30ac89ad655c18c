#include "wire/ticket.h"

#include <stdlib.h>
#include <string.h>

enum { TICKET_VERSION = 1, POLICY_BYTES = 32768 };

#define AT(m) offsetof(struct ticket, m)

static const struct field table[] = {{"dataset", FIELD_TEXT, 1, AT(dataset), 64},
                                     {"splits", FIELD_TEXTS, 1, AT(splits), 64, 64},
                                     {"step", FIELD_UINT, 1, AT(step), UINT32_MAX},
                                     {"shard", FIELD_UINT, 1, AT(shard), UINT32_MAX},
                                     {"first", FIELD_UINT, 1, AT(first), UINT32_MAX - SHARD_IMAGES},
                                     {"ids", FIELD_UINTS, 1, AT(ids), UINT64_MAX, SHARD_IMAGES},
                                     {"seed", FIELD_UINT, 1, AT(seed), UINT64_MAX},
                                     {"policy", FIELD_TEXT, 1, AT(policy), POLICY_BYTES},
                                     {0}};

enum status ticket_decode(const void *frame, size_t size, struct ticket *out) {
  memset(out, 0, sizeof *out);
  struct map map;
  enum status st = OK;
  TRY(map_open(&map, frame, size));
  uint64_t version = 0;
  TRY(map_head(&map, &version, NULL));
  if (version != TICKET_VERSION)
    TRY(fail(E_VERSION, "a ticket of version %llu where this build reads %d", (unsigned long long)version,
             TICKET_VERSION));
  TRY(map_read(&map, table, 1, false, out, &out->storage));
  if (out->ids.count == 0 || out->first % 2 != 0) {
    ticket_free(out);
    st = fail(E_FORMAT, "a ticket without images or with an odd first position");
  }
out:
  return st;
}

void ticket_free(struct ticket *ticket) {
  free(ticket->storage);
  memset(ticket, 0, sizeof *ticket);
}

enum status ticket_encode(const struct ticket *ticket, uint8_t **bytes, size_t *size) {
  enum status st = fields_pack(table, 1, TICKET_VERSION, NULL, ticket, bytes, size);
  return st == OK ? OK : fail_within(st, "ticket");
}
