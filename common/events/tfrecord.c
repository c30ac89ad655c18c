#include "tfrecord.h"

#include <endian.h>

#include "crc32c.h"

uint32_t tfrecord_crc(const void *data, size_t size) {
  uint32_t crc = crc32c(data, size);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void write_crc(FILE *file, const void *data, size_t size) {
  uint32_t stored = htole32(tfrecord_crc(data, size));
  fwrite(&stored, sizeof stored, 1, file);
}

void tfrecord_write(FILE *file, const void *data, size_t size) {
  uint64_t length = htole64(size);
  fwrite(&length, sizeof length, 1, file);
  write_crc(file, &length, sizeof length);
  fwrite(data, 1, size, file);
  write_crc(file, data, size);
}
