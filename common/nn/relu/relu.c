#include "nn/relu/relu.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double size = (double)shape_count(n->out->shape);
  return (struct flops){size, node_gradients(n) * size};
}

static const struct op op = {.name = "relu", .flops = flops};

struct value relu(struct graph *g, struct value x) {
  return graph_node(g, &op, NULL, 0, &x, 1, graph_shape(g, x));
}
