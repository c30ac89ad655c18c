#include "nn/weighted_sum/weighted_sum.h"

#include "nn/engine.h"

static const struct op op = {.name = "weighted_sum"};

struct value weighted_sum(struct graph *g, const struct value *scalars, const double *weights, int n) {
  if (n < 1) {
    graph_fail(g, E_ARG, "weighted_sum: %d terms; need at least one", n);
    return (struct value){0};
  }
  for (int i = 0; i < n; i++) {
    if (!shape_equal(graph_shape(g, scalars[i]), shape_1(1))) {
      graph_fail_shapes(g, "weighted_sum", "needs numbers of shape [1]", scalars, n);
    }
  }
  return graph_node(g, &op, weights, (size_t)n * sizeof *weights, scalars, n, shape_1(1));
}
