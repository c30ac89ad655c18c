#include "nn/cosine_loss/cosine_loss.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  /* Three dot products; dp = (z/|z| - c p/|p|) / |p|. */
  double size = (double)shape_count(n->in[0]->shape);
  return (struct flops){6 * size, node_gradients(n) * 5 * size};
}

static const struct op op = {.name = "cosine_loss", .constant = 1 << 1, .flops = flops};

struct value cosine_loss(struct graph *g, struct value p, struct value z, double offset, double scale) {
  struct value in[] = {p, z};
  struct shape s = graph_shape(g, p);
  if (s.n_dims != 2 || !shape_equal(s, graph_shape(g, z)))
    graph_fail_shapes(g, "cosine_loss", "needs [N,D] twice", in, 2);
  struct cosine_loss_attr attr = {offset, scale, 1e-12};
  return graph_node(g, &op, &attr, sizeof attr, in, 2, shape_1(1));
}
