/* TFRecord framing: each record with its length and the masked CRC-32C of both, all little-endian. A file that was
 * cut in the middle of a record is read up to the record before it. */
#ifndef EVENTS_TFRECORD_H
#define EVENTS_TFRECORD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The CRC as it is stored: rotated and shifted, so that data that holds CRCs has none that are regular. */
uint32_t tfrecord_crc(const void *data, size_t size);

/* Appends a record to the stream's buffer; the caller flushes, and looks for errors then. */
void tfrecord_write(FILE *file, const void *data, size_t size);

#endif
