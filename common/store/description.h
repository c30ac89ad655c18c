/* The description of a dataset: the msgpack map under `meta` (docs/formats.md), checked field by field. */
#ifndef STORE_DESCRIPTION_H
#define STORE_DESCRIPTION_H

#include "store/layout.h"

struct description {
  struct dataset_info info; /* points into the rest; the splits' entries are left to the caller */
  struct split splits[MAX_SPLITS];
  char *text, *text_at, *text_end; /* every string, zero-terminated, one after the other */
  const char **names;              /* classes, then attributes */
  const uint8_t *plan; /* the packed classes and attributes, as fingerprinted; borrowed from the input */
  size_t plan_size;
};

/* Fills a zeroed `d`, which description_free releases whatever the outcome. `bytes` must outlive it.
 * Errors: E_VERSION (another version, looked for before anything else), E_FORMAT, E_MEMORY. */
enum status description_parse(struct description *d, const uint8_t *bytes, size_t size);
void description_free(struct description *d);

#endif
