#include "nn/linear/linear.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double out = (double)shape_count(n->out->shape), products = 2 * out * (double)n->in[1]->shape.dim[1];
  double bias = n->n_in > 2 ? out : 0;
  int gradients = node_differentiates(n, 0) + node_differentiates(n, 1);
  return (struct flops){products + bias,
                        gradients * products + (n->n_in > 2 && node_differentiates(n, 2) ? bias : 0)};
}

static const struct op op = {.name = "linear", .flops = flops};

struct value linear(struct graph *g, struct value x, struct value w, struct value bias) {
  struct value in[] = {x, w, bias};
  int n_in = bias.id ? 3 : 2;
  struct shape sx = graph_shape(g, x), sw = graph_shape(g, w);
  if (sx.n_dims != 2 || sw.n_dims != 2 || sx.dim[1] != sw.dim[1] ||
      (n_in == 3 && !shape_equal(graph_shape(g, bias), shape_1(sw.dim[0])))) {
    graph_fail_shapes(g, "linear", "needs [N,I], [O,I] and at most a bias [O]", in, n_in);
  }
  return graph_node(g, &op, NULL, 0, in, n_in, shape_2(sx.dim[0], sw.dim[0]));
}
