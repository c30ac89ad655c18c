/* safetensors files: named tensors, little-endian, C order. Format notes: docs/formats.md.
 *
 * The reader checks everything before use (sizes, overlaps, gaps, duplicate names) and keeps a private copy
 * of the file. The writer orders tensors by alignment, then name, and replaces the file atomically. */
#ifndef STORE_SAFETENSORS_H
#define STORE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum dtype { DTYPE_F64, DTYPE_I64, DTYPE_F32, DTYPE_I32, DTYPE_F16, DTYPE_BF16, DTYPE_U8, DTYPE_BOOL };
enum { TENSOR_MAX_DIMS = 8 };

size_t dtype_size(enum dtype dtype);

struct tensor_view {
  const char *name;
  enum dtype dtype;
  int n_dims;
  int64_t shape[TENSOR_MAX_DIMS];
  const void *data; /* aligned for dtype */
  size_t size;      /* bytes */
};

struct safetensors;

/* Errors: E_IO, E_FORMAT (what is wrong, where). */
enum status safetensors_open(struct safetensors **out, const char *path);
enum status safetensors_parse(struct safetensors **out, const uint8_t *bytes, size_t size); /* copies */
void safetensors_close(struct safetensors **file);

size_t safetensors_count(const struct safetensors *file);
const struct tensor_view *safetensors_at(const struct safetensors *file,
                                         size_t i); /* in name order; borrowed */
const struct tensor_view *safetensors_find(const struct safetensors *file,
                                           const char *name);                      /* NULL: absent */
const char *safetensors_metadata(const struct safetensors *file, const char *key); /* NULL: absent */

struct metadata {
  const char *key, *value;
};

/* Writes `n` tensors atomically; the same input gives the same bytes.
 * Errors: E_IO, E_ARG (duplicate names). */
enum status safetensors_write(const char *path, const struct tensor_view *tensors, size_t n,
                              const struct metadata *metadata, size_t n_metadata);

#endif
