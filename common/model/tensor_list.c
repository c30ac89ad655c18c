#include "model/tensor_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more tensor, its data uninitialised. NULL: no memory. */
static void *append(struct tensor_list *list, const char *prefix, const char *name, enum dtype dtype,
                    struct shape shape) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 128;
    struct tensor_view *grown = realloc(list->views, capacity * sizeof *grown);
    if (!grown) return NULL;
    list->views = grown;
    list->capacity = capacity;
  }
  size_t size = (size_t)shape_count(shape) * dtype_size(dtype), length = strlen(prefix) + strlen(name) + 1;
  char *full = malloc(length);
  void *data = malloc(size ? size : 1);
  if (!full || !data) return free(full), free(data), NULL;
  snprintf(full, length, "%s%s", prefix, name);
  struct tensor_view *view = &list->views[list->count++];
  *view =
      (struct tensor_view){.name = full, .dtype = dtype, .n_dims = shape.n_dims, .data = data, .size = size};
  for (int i = 0; i < shape.n_dims; i++) view->shape[i] = shape.dim[i];
  return data;
}

enum status tensor_list_room(struct tensor_list *list, const char *prefix, const char *name, enum dtype dtype,
                             struct shape shape, void **data) {
  *data = append(list, prefix, name, dtype, shape);
  return *data ? OK : fail(E_MEMORY, "out of memory while copying %s%s", prefix, name);
}

enum status tensor_list_value(struct tensor_list *list, struct graph *g, const char *prefix, const char *name,
                              struct value v, enum dtype dtype) {
  struct shape shape = graph_shape(g, v);
  void *data;
  enum status st = tensor_list_room(list, prefix, name, dtype, shape, &data);
  if (st != OK) return st;
  return dtype == DTYPE_F64 ? graph_read_f64(g, v, data, shape_count(shape))
                            : graph_read_f32(g, v, data, shape_count(shape));
}

enum status tensor_list_data(struct tensor_list *list, const char *prefix, const char *name, enum dtype dtype,
                             struct shape shape, const void *data) {
  void *copy;
  enum status st = tensor_list_room(list, prefix, name, dtype, shape, &copy);
  if (st != OK) return st;
  memcpy(copy, data, list->views[list->count - 1].size);
  return OK;
}

enum status tensor_list_tracked(struct tensor_list *list, const char *prefix, const char *name,
                                int64_t tracked) {
  char full[256];
  snprintf(full, sizeof full, "%s.num_batches_tracked", name);
  return tensor_list_data(list, prefix, full, DTYPE_I64, (struct shape){0, {0}}, &tracked);
}

void tensor_list_free(struct tensor_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free((char *)(uintptr_t)list->views[i].name);
    free((void *)(uintptr_t)list->views[i].data);
  }
  free(list->views);
  *list = (struct tensor_list){0};
}
