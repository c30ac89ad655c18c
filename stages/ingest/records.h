/* Binary files of equal records, read at any place by any thread: how CIFAR and STL-10 are distributed. */
#ifndef INGEST_RECORDS_H
#define INGEST_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct records {
  int fd;      /* -1: closed */
  size_t size; /* bytes per record */
  int64_t count;
  char path[512];
};

/* Opens FOLDER/NAME. Errors: E_NOT_FOUND, E_IO, E_FORMAT (its size is not a whole number of records, or
 * none). */
enum status records_open(struct records *r, const char *folder, const char *name, size_t record_size);
void records_close(struct records *r);

/* Reads record i into out [size]. Errors: E_IO. */
enum status records_read(const struct records *r, int64_t i, uint8_t *out);

/* Non-empty lines of a small text file FOLDER/NAME as class names: exactly `n` of them, or E_FORMAT.
 * E_NOT_FOUND when there is no such file. Each is malloc'ed; the caller frees them. */
enum status read_class_names(const char *folder, const char *name, size_t n, char **names);

/* FOLDER, or FOLDER/INNER where archives of the set unpack into such a folder and that is there. */
void inner_folder(const char *folder, const char *inner, char *out, size_t size);

/* What an image is made of: three planes [3][side * side], each pixel at (y * y_step + x * x_step), to RGB.
 * Errors: E_MEMORY. */
struct image;
enum status planes_to_rgb(const uint8_t *planes, int32_t side, int x_step, int y_step, struct image *out);

#endif
