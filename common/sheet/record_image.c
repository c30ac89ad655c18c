#include "record_image.h"

#include <stdlib.h>
#include <string.h>

enum status record_image(const struct record *record, struct image *out) {
  if (record->encoding == ENCODING_JPEG) return jpeg_decode(record->bytes, record->size, out);
  *out = (struct image){record->width, record->height, malloc(record->size)};
  if (!out->pixels) return fail(E_MEMORY, "out of memory");
  memcpy(out->pixels, record->bytes, record->size);
  return OK;
}
