#include "nn/info_nce/info_nce.h"

#include "nn/engine.h"

static const struct op op = {.name = "info_nce"};

struct value info_nce(struct graph *g, struct value z1, struct value z2, double temperature) {
  struct value in[] = {z1, z2};
  struct shape s = graph_shape(g, z1);
  if (s.n_dims != 2 || !shape_equal(s, graph_shape(g, z2)))
    graph_fail_shapes(g, "info_nce", "needs [N,D] twice", in, 2);
  if (!(temperature > 0))
    graph_fail(g, E_ARG, "info_nce: the temperature must be above 0, not %g", temperature);
  struct info_nce_attr attr = {temperature, 1e-12};
  return graph_node(g, &op, &attr, sizeof attr, in, 2, shape_1(1));
}
