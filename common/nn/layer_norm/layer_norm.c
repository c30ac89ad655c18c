#include "nn/layer_norm/layer_norm.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double size = (double)shape_count(n->out->shape);
  return (struct flops){8 * size, ((node_gradients(n) > 0) * 5 + node_differentiates(n, 0) * 5) * size};
}

static const struct op op = {.name = "layer_norm", .flops = flops};

struct value layer_norm(struct graph *g, struct value x, struct value gamma, struct value beta) {
  struct value in[] = {x, gamma, beta};
  struct shape s = graph_shape(g, x), d = shape_1(s.dim[1]);
  if (s.n_dims != 2 || !shape_equal(graph_shape(g, gamma), d) || !shape_equal(graph_shape(g, beta), d))
    graph_fail_shapes(g, "layer_norm", "needs [N,D], then twice [D]", in, 3);
  struct layer_norm_attr attr = {1e-5};
  return graph_node(g, &op, &attr, sizeof attr, in, 3, s);
}
