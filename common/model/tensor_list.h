/* Tensors copied out of a graph, on their way to a safetensors file. */
#ifndef MODEL_TENSOR_LIST_H
#define MODEL_TENSOR_LIST_H

#include "nn/graph.h"
#include "store/safetensors.h"

/* Zero-initialised is empty. Names and data are the list's own. */
struct tensor_list {
  struct tensor_view *views;
  size_t count, capacity;
};

/* Appends a copy of `v` under `prefix` + `name` (both copied), as
 * DTYPE_F32 or DTYPE_F64. E_MEMORY, E_DEVICE. */
enum status tensor_list_value(struct tensor_list *list, struct graph *g, const char *prefix, const char *name,
                              struct value v, enum dtype dtype);

/* Appends a tensor whose data the caller fills in at *data. E_MEMORY. */
enum status tensor_list_room(struct tensor_list *list, const char *prefix, const char *name, enum dtype dtype,
                             struct shape shape, void **data);

/* Appends a copy of `data`: the product of `shape` elements of `dtype`. E_MEMORY. */
enum status tensor_list_data(struct tensor_list *list, const char *prefix, const char *name, enum dtype dtype,
                             struct shape shape, const void *data);

/* The i64 scalar NAME.num_batches_tracked of a BatchNorm. E_MEMORY. */
enum status tensor_list_tracked(struct tensor_list *list, const char *prefix, const char *name,
                                int64_t tracked);

void tensor_list_free(struct tensor_list *list); /* leaves it empty */

#endif
