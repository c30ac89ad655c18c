#include "nn/barlow_loss/barlow_loss.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  /* Per element: standardising 6 forward, 9 backward; C is D x D. */
  double rows = (double)n->in[0]->shape.dim[0], d = (double)n->in[0]->shape.dim[1];
  double product = 2 * rows * d * d, both = 2 * rows * d;
  return (struct flops){6 * both + product + 4 * d * d,
                        node_gradients(n) * (product + 9 * rows * d) + 2 * d * d};
}

static const struct op op = {.name = "barlow_loss", .flops = flops};

struct value barlow_loss(struct graph *g, struct value z1, struct value z2, double off_diagonal) {
  struct value in[] = {z1, z2};
  struct shape s = graph_shape(g, z1);
  if (s.n_dims != 2 || !shape_equal(s, graph_shape(g, z2)))
    graph_fail_shapes(g, "barlow_loss", "needs [N,D] twice", in, 2);
  struct barlow_loss_attr attr = {off_diagonal, 1e-5};
  return graph_node(g, &op, &attr, sizeof attr, in, 2, shape_1(1));
}
