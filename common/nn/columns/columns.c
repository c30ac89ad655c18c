#include "nn/columns/columns.h"

#include "nn/engine.h"

static const struct op op = {.name = "columns"};

struct value columns(struct graph *g, struct value x, int64_t first, int64_t count) {
  struct shape s = graph_shape(g, x);
  if (s.n_dims != 2)
    graph_fail_shapes(g, "columns", "needs a matrix", &x, 1);
  else if (first < 0 || count < 1 || first + count > s.dim[1])
    graph_fail(g, E_ARG, "columns: %lld from %lld on of a matrix with %lld", (long long)count,
               (long long)first, (long long)s.dim[1]);
  struct columns_attr attr = {first};
  return graph_node(g, &op, &attr, sizeof attr, &x, 1, shape_2(s.dim[0], count));
}
