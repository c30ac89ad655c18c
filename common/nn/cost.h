/* What a planned graph computes, moves and holds; for tables and budgets, with or without memory
 * (graph_config.plan_only). */
#ifndef NN_COST_H
#define NN_COST_H

#include "nn/graph.h"

/* Floating-point operations of one call of an op. A multiplication with its addition counts as 2; any other
 * addition, multiplication, division, comparison, root, exponential or logarithm as 1. Of the textbook's
 * algorithm, whatever a kernel does beyond it (padding, recomputation). */
struct flops {
  double forward, backward; /* backward: for the gradients that are wanted */
};

/* One node. Bytes are an estimate: every operand of a call once, as if nothing stayed in a cache; 0 before
 * graph_plan. */
struct node_cost {
  const char *op;
  const char *owner;  /* the first parameter or buffer that it reads; NULL: none. The graph's */
  struct shape shape; /* of its output */
  struct flops flops;
  double forward_bytes, backward_bytes;
};
size_t graph_n_nodes(const struct graph *g);
struct node_cost graph_node_cost(const struct graph *g, size_t i); /* i < graph_n_nodes, in forward order */

/* A parameter, buffer or input after graph_plan. Bytes: its numbers', without what fills memory up behind it. */
struct tensor_cost {
  size_t bytes;
  bool updated;  /* a parameter that the loss reaches: it has a gradient as large */
  bool averaged; /* the shadow of a parameter, which nn/ema moves */
};
struct tensor_cost graph_tensor_cost(const struct graph *g, struct value v);

/* Of the device, and of the host's memory that the device reaches. */
struct own_memory {
  size_t device, pinned;
};

/* Bytes that a planned graph takes, or would take (plan_only). */
struct graph_memory {
  size_t parameters, gradients, buffers, inputs, arena;
  struct own_memory own; /* the backend's, once images of the largest input were written */
};
struct graph_memory graph_memory(const struct graph *g);

#endif
