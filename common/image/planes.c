#include "image/planes.h"

#include <stdlib.h>

enum status scratch_reserve(struct scratch *scratch, size_t size) {
  if (size <= scratch->size) return OK;
  size = (size + 63) / 64 * 64;
  void *data = aligned_alloc(64, size);
  if (!data) return fail(E_MEMORY, "out of memory: %zu bytes for an image", size);
  free(scratch->data);
  scratch->data = data;
  scratch->size = size;
  return OK;
}

void workspace_free(struct workspace *work) {
  free(work->planes[0].data);
  free(work->planes[1].data);
  free(work->rows.data);
  free(work->weights.data);
  free(work->bytes.data);
  *work = (struct workspace){0};
}

enum status workspace_planes(struct workspace *work, int32_t width, int32_t height, struct planes *out) {
  struct scratch *spare = &work->planes[!work->current];
  size_t plane = ((size_t)width * (size_t)height + 15) / 16 * 16;
  enum status st = scratch_reserve(spare, 3 * plane * sizeof(float));
  if (st != OK) return st;
  float *data = spare->data;
  *out = (struct planes){width, height, {data, data + plane, data + 2 * plane}};
  return OK;
}

void workspace_flip(struct workspace *work) { work->current = !work->current; }
