#include "nn/avg_pool_global/avg_pool_global.h"

#include "nn/engine.h"

static const struct op op = {.name = "avg_pool_global"};

struct value avg_pool_global(struct graph *g, struct value x) {
  struct shape s = graph_shape(g, x);
  if (s.n_dims != 4) graph_fail_shapes(g, "avg_pool_global", "needs [N,C,H,W]", &x, 1);
  return graph_node(g, &op, NULL, 0, &x, 1, shape_2(s.dim[0], s.dim[1]));
}
