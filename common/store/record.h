/* One sample as it is stored: a msgpack map (schemas/record.schema.json) whose first entry is the checksum of
 * all that follows it. The checksum is XXH3-64 seeded with the sample's id, so a record found under another
 * id fails too. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <msgpack.h>

#include "store/dataset.h"

enum { SEAL_BYTES = 15 /* map tag, "xxh3", uint64: what a sealed map starts with */ };

/* Packs the start of a map of `entries` entries beside the seal, before its content; `seal` fills the
 * checksum in. */
void seal_begin(msgpack_packer *packer, size_t entries);
void seal(uint8_t *bytes, size_t size, uint64_t seed);

/* Errors: E_FORMAT (damaged). */
enum status seal_check(const uint8_t *bytes, size_t size, uint64_t seed);

/* Where the boxes and attributes of a record read go; grows as needed, freed by record_scratch_free. */
struct record_scratch {
  struct box *boxes;
  float *attributes;
  size_t room_boxes, room_attributes;
};
void record_scratch_free(struct record_scratch *scratch);

/* Appends the stored form to `out`. Errors: E_MEMORY. */
enum status record_pack(const struct record *record, uint64_t id, msgpack_sbuffer *out);

/* Reads a stored record: checksum first, then every field against its limits. `record` borrows from `bytes`
 * and `scratch`. Labels and counts are checked against the dataset by the caller.
 * Errors: E_FORMAT, E_MEMORY. */
enum status record_unpack(const uint8_t *bytes, size_t size, uint64_t id, struct record *record,
                          struct record_scratch *scratch);

/* What must hold for any record of a dataset with so many classes and attributes. Errors: E_ARG, saying what
 * is wrong. */
enum status record_check(const struct record *record, size_t n_classes, size_t n_attributes);

#endif
