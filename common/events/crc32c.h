/* CRC-32C (Castagnoli). Pure function. */
#ifndef EVENTS_CRC32C_H
#define EVENTS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t size);

#endif
