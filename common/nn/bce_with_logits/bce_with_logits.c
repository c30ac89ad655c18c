#include "nn/bce_with_logits/bce_with_logits.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double size = (double)shape_count(n->in[0]->shape);
  return (struct flops){7 * size, node_gradients(n) * 5 * size};
}

static const struct op op = {.name = "bce_with_logits", .constant = 1 << 1, .flops = flops};

struct value bce_with_logits(struct graph *g, struct value x, struct value t) {
  struct value in[] = {x, t};
  struct shape s = graph_shape(g, x);
  if (s.n_dims != 2 || !shape_equal(s, graph_shape(g, t)))
    graph_fail_shapes(g, "bce_with_logits", "needs [N,D] twice", in, 2);
  return graph_node(g, &op, NULL, 0, in, 2, shape_1(1));
}
