/* struct graph, for graph.c, plan.c and run.c only. */
#ifndef NN_GRAPH_INTERNAL_H
#define NN_GRAPH_INTERNAL_H

#include "nn/engine.h"

struct graph {
  const struct backend *backend;
  struct run run;

  struct tensor **tensors; /* value id i is tensors[i - 1] */
  int32_t n_tensors, tensor_room;
  struct node **nodes;
  int32_t n_nodes, node_room;

  enum status error;
  char error_text[1024];

  bool planned, plan_only, replays /* a recorded step */;
  const struct tensor *watched[SEND_NUMBERS];
  int n_watched;
  int64_t steps, taken;                  /* whose watched values were sent and taken */
  double seen[SEND_SLOTS][SEND_NUMBERS]; /* where the backend does not send */
  struct graph_tensor *listed;           /* parameters, then buffers */
  size_t n_listed;

  void *params, *grads, *state,
      *arena; /* device memory: parameters, their gradients, inputs and buffers, the rest */
  size_t trained_bytes, param_bytes, arena_bytes;
};

/* Bytes of memory up to where the next tensor may begin. */
enum { TENSOR_ALIGNMENT = 256 };
static inline size_t rounded(size_t bytes) {
  return (bytes + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
}

/* A value's tensor; NULL for id 0 and unknown ids. Negative ids
 * (gradients) give the tensor they belong to. */
struct tensor *graph_lookup(const struct graph *g, struct value v);

#endif
