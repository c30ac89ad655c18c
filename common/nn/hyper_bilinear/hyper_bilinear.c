#include "nn/hyper_bilinear/hyper_bilinear.h"

#include "nn/engine.h"

static const struct op op = {.name = "hyper_bilinear"};

struct value hyper_bilinear(struct graph *g, struct value w, struct value t, struct value r) {
  struct value in[] = {w, t, r};
  struct shape sw = graph_shape(g, w), st = graph_shape(g, t), sr = graph_shape(g, r);
  if (sw.n_dims != 2 || st.n_dims != 2 || sr.n_dims != 2 || st.dim[0] != sr.dim[0] ||
      sw.dim[1] != st.dim[1] || sw.dim[0] != sr.dim[1] * sr.dim[1]) {
    graph_fail_shapes(g, "hyper_bilinear", "needs [D*D,K], [B,K] and [B,D]", in, 3);
  }
  return graph_node(g, &op, NULL, 0, in, 3, sr);
}
