/* A dataset: one LMDB environment, immutable once published.
 *
 *   meta     one msgpack map: format version, name, class names, splits with counts, channel mean/std (of the
 *            first split, images in [0,1]), fingerprint, attribute names
 *   samples  64-bit big-endian id -> record (schemas/record.schema.json)
 *   index.X  per split X: id, label, width, height of every sample in ingest order
 *
 * The fingerprint is the xxh3-128 of the class and attribute names, every record and every index in key
 * order, so two datasets with the same fingerprint hold the same samples, whatever the datasets are called.
 * Readers: a `struct dataset` belongs to one thread, dataset_read_shared apart. Open after fork. The on-disk layout is
 * described in docs/formats.md. */
#ifndef STORE_DATASET_H
#define STORE_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { DATASET_VERSION = 1, FINGERPRINT_HEX = 32 };

enum encoding { ENCODING_JPEG, ENCODING_RGB8 };

struct box { /* pixels, x right, y down, half-open: [left, right) x [top, bottom) */
  float left, top, right, bottom;
  int32_t class_index;
  uint8_t difficult;
};

/* One sample. Pointers are borrowed: when reading, valid until the dataset's next read; when writing, for the
 * call. */
struct record {
  enum encoding encoding;
  const uint8_t *bytes; /* a JPEG file, or [height, width, 3] RGB */
  size_t size;
  int32_t width, height; /* of the decoded image, in pixels */
  int32_t label;         /* class index; -1: unlabelled */
  const struct box *boxes;
  size_t n_boxes;
  const float *attributes; /* as many as the dataset names; NULL if none */
  size_t n_attributes;
  /* Of a JPEG with restart markers: where each restart interval's data begins in `bytes`, 32 bits each,
   * little-endian, counting up. NULL: not known. */
  const uint8_t *restarts;
  size_t n_restarts;
};

struct index_entry {
  uint64_t id;
  int32_t label, width, height;
};

struct split {
  const char *name;
  int64_t count;
  const struct index_entry *entries; /* [count] */
};

struct dataset_info {
  const char *name, *fingerprint; /* fingerprint: FINGERPRINT_HEX lower-case hex digits */
  const char *const *classes;
  size_t n_classes;
  const char *const *attributes;
  size_t n_attributes;
  const struct split *splits;
  size_t n_splits;
  double mean[3], std[3];
};

struct dataset;

/* Opens a published dataset read-only and loads its indexes. Errors: E_IO, E_NOT_FOUND (nothing there),
 * E_FORMAT (not a dataset), E_VERSION (another version: says which and to ingest again). */
enum status dataset_open(struct dataset **out, const char *path);
void dataset_close(struct dataset **dataset);

/* Borrowed until close. */
const struct dataset_info *dataset_info(const struct dataset *dataset);

/* What pixels are normalised by, as (x - mean) / std: the channel statistics, but 1 for the deviation of a channel
 * that is the same in every pixel, so that it becomes 0 and not a division by 0. */
void dataset_normalization(const struct dataset *dataset, double mean[3], double std[3]);

/* The split called `name`; NULL and a message that lists the splits when there is none. Borrowed. */
const struct split *dataset_split(const struct dataset *dataset, const char *name);

/* Reads and checks one sample. Errors: E_NOT_FOUND, E_FORMAT (checksum or fields: names the id). */
enum status dataset_read(struct dataset *dataset, uint64_t id, struct record *record);

struct record_scratch; /* store/record.h */

/* The same for several threads at once, each with a scratch of its own, zeroed before its first use. The
 * record's `bytes` stay valid until the dataset is closed, the rest until the scratch is used again. */
enum status dataset_read_shared(struct dataset *dataset, struct record_scratch *scratch, uint64_t id,
                                struct record *record);

struct dataset_contents {              /* samples by how they are stored, and the bytes of their images */
  int64_t jpeg, rgb8, restarts, bytes; /* restarts: JPEGs with an index of restart intervals */
};

/* Reads and checks every sample and recomputes the fingerprint. contents may be NULL. Errors: E_FORMAT (says
 * what is damaged). */
enum status dataset_verify(struct dataset *dataset, struct dataset_contents *contents);

/* --- Writing: to a temporary name beside `path`, renamed by commit; nothing is visible before, nothing left
 * after abort. */

struct dataset_writer;

struct dataset_plan {
  const char *name;
  const char *const *classes;
  size_t n_classes;
  const char *const *attributes;
  size_t n_attributes;
};

/* Errors: E_IO, E_EXISTS unless `replace`. */
enum status dataset_writer_open(struct dataset_writer **out, const char *path,
                                const struct dataset_plan *plan, bool replace);

/* Declares the next split; samples added from here on belong to it. */
enum status dataset_writer_split(struct dataset_writer *writer, const char *name);

/* Appends a sample; ids count up from 0. Grows the map as needed. Errors: E_IO (full disk), E_ARG. */
enum status dataset_writer_add(struct dataset_writer *writer, const struct record *record);

/* Writes meta, syncs, renames, nulls. mean/std as above. On failure nothing is left. */
enum status dataset_writer_commit(struct dataset_writer **writer, const double mean[3], const double std[3]);
void dataset_writer_abort(struct dataset_writer **writer);

#endif
