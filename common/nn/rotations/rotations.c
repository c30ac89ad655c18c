#include "nn/rotations/rotations.h"

#include "nn/engine.h"

static const struct op op = {.name = "rotations"};

struct value rotations(struct graph *g, struct value x) {
  struct shape s = graph_shape(g, x);
  if (s.n_dims != 4 || s.dim[2] != s.dim[3]) graph_fail_shapes(g, "rotations", "needs [N,C,S,S]", &x, 1);
  return graph_node(g, &op, NULL, 0, &x, 1, shape_4(N_ROTATIONS * s.dim[0], s.dim[1], s.dim[2], s.dim[3]));
}
