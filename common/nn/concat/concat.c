#include "nn/concat/concat.h"

#include "nn/engine.h"

static const struct op op = {.name = "concat"};

struct value concat(struct graph *g, int axis, const struct value *xs, int n) {
  if (n < 1 || axis < 0 || axis > 1) {
    graph_fail(g, E_ARG, "concat: %d parts along axis %d; need at least one, along axis 0 or 1", n, axis);
    return (struct value){0};
  }
  struct shape out = graph_shape(g, xs[0]);
  out.dim[axis] = 0;
  for (int i = 0; i < n; i++) {
    struct shape s = graph_shape(g, xs[i]);
    if (s.n_dims != 2 || s.dim[1 - axis] != out.dim[1 - axis]) {
      graph_fail_shapes(g, "concat",
                        axis ? "needs matrices with as many rows" : "needs matrices with as many columns", xs,
                        n);
    }
    out.dim[axis] += s.dim[axis];
  }
  struct concat_attr attr = {axis};
  return graph_node(g, &op, &attr, sizeof attr, xs, n, out);
}
