#include "nn/info_nce/info_nce.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  /* U 3 per element; U U^T with 2N rows and a softmax of 6; backward (P + P^T) U, and U's norms 5. */
  double rows = 2 * (double)n->in[0]->shape.dim[0], d = (double)n->in[0]->shape.dim[1];
  double product = 2 * rows * rows * d;
  return (struct flops){3 * rows * d + product + 6 * rows * rows,
                        node_gradients(n) ? product + 3 * rows * rows + 5 * rows * d : 0};
}

static const struct op op = {.name = "info_nce", .flops = flops};

struct value info_nce(struct graph *g, struct value z1, struct value z2, double temperature) {
  struct value in[] = {z1, z2};
  struct shape s = graph_shape(g, z1);
  if (s.n_dims != 2 || !shape_equal(s, graph_shape(g, z2)))
    graph_fail_shapes(g, "info_nce", "needs [N,D] twice", in, 2);
  if (!(temperature > 0))
    graph_fail(g, E_ARG, "info_nce: the temperature must be above 0, not %g", temperature);
  struct info_nce_attr attr = {temperature, 1e-12};
  return graph_node(g, &op, &attr, sizeof attr, in, 2, shape_1(1));
}
