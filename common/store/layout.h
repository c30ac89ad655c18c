/* Names and packings of the dataset file that its reader and its writer share (docs/formats.md). */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "store/dataset.h"
#include "store/lmdb_file.h"

extern const struct lmdb_kind dataset_kind;

#define DATASET_FORMAT "tandem-dataset"
#define DB_META        "meta"
#define DB_SAMPLES     "samples"
#define DB_INDEX       "index." /* + split */
#define META_KEY       "dataset"

enum {
  MAX_SPLITS = 32,
  MAX_SPLIT_NAME = 64,
  MAX_DBS = MAX_SPLITS + 2,
  INDEX_BYTES = 20,   /* id u64, label i32, width i32, height i32; little-endian */
  INDEX_CHUNK = 4096, /* entries per value of an index; keys count chunks */
  KEY_BYTES = 8       /* big-endian, so that LMDB's byte order is numeric order */
};

static inline void layout_key(uint64_t value, uint8_t out[KEY_BYTES]) {
  for (int i = 0; i < KEY_BYTES; i++) out[i] = (uint8_t)(value >> (8 * (KEY_BYTES - 1 - i)));
}

static inline void layout_put(uint64_t value, int bytes, uint8_t *out) {
  for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t layout_get(int bytes, const uint8_t *in) {
  uint64_t value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | in[i];
  return value;
}

static inline void layout_put_entry(const struct index_entry *e, uint8_t out[INDEX_BYTES]) {
  layout_put(e->id, 8, out);
  layout_put((uint32_t)e->label, 4, out + 8);
  layout_put((uint32_t)e->width, 4, out + 12);
  layout_put((uint32_t)e->height, 4, out + 16);
}

static inline struct index_entry layout_get_entry(const uint8_t in[INDEX_BYTES]) {
  return (struct index_entry){layout_get(8, in), (int32_t)layout_get(4, in + 8),
                              (int32_t)layout_get(4, in + 12), (int32_t)layout_get(4, in + 16)};
}

#endif
