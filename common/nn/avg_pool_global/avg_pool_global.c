#include "nn/avg_pool_global/avg_pool_global.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double in = (double)shape_count(n->in[0]->shape), out = (double)shape_count(n->out->shape);
  return (struct flops){in, node_gradients(n) * out};
}

static const struct op op = {.name = "avg_pool_global", .flops = flops};

struct value avg_pool_global(struct graph *g, struct value x) {
  struct shape s = graph_shape(g, x);
  if (s.n_dims != 4) graph_fail_shapes(g, "avg_pool_global", "needs [N,C,H,W]", &x, 1);
  return graph_node(g, &op, NULL, 0, &x, 1, shape_2(s.dim[0], s.dim[1]));
}
