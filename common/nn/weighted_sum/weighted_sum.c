#include "nn/weighted_sum/weighted_sum.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double size = (double)shape_count(n->out->shape);
  return (struct flops){2 * n->n_in * size, node_gradients(n) * size};
}

static const struct op op = {.name = "weighted_sum", .flops = flops};

struct value weighted_sum(struct graph *g, const struct value *values, const double *weights, int n) {
  if (n < 1) {
    graph_fail(g, E_ARG, "weighted_sum: %d terms; need at least one", n);
    return (struct value){0};
  }
  struct shape shape = graph_shape(g, values[0]);
  bool fits = shape.n_dims == 1 || shape.n_dims == 2;
  for (int i = 0; i < n; i++) fits = fits && shape_equal(graph_shape(g, values[i]), shape);
  if (!fits) graph_fail_shapes(g, "weighted_sum", "needs values of one shape, [N] or [N,D]", values, n);
  return graph_node(g, &op, weights, (size_t)n * sizeof *weights, values, n, shape);
}
