#include "nn/gather_rows/gather_rows.h"

#include "nn/engine.h"

static const struct op op = {.name = "gather_rows"};

struct value gather_rows(struct graph *g, struct value x, const int32_t *rows, int64_t n) {
  struct shape s = graph_shape(g, x);
  if (s.n_dims != 2) graph_fail_shapes(g, "gather_rows", "needs a matrix", &x, 1);
  if (n < 1) graph_fail(g, E_ARG, "gather_rows: %lld indices; need at least one", (long long)n);
  for (int64_t i = 0; i < n; i++) {
    if (rows[i] >= 0 && rows[i] < s.dim[0]) continue;
    graph_fail(g, E_ARG, "gather_rows: index %d is outside the %lld rows", (int)rows[i], (long long)s.dim[0]);
  }
  return graph_node(g, &op, rows, (size_t)(n < 0 ? 0 : n) * sizeof *rows, &x, 1, shape_2(n, s.dim[1]));
}
