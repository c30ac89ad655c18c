#include "nn/hyper_bilinear/hyper_bilinear.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  /* P and Q [B, D*K] are made from and summed up to D- and K-vectors beside the products with W. */
  double b = (double)n->out->shape.dim[0], d = (double)n->out->shape.dim[1];
  double pairs = b * d * (double)n->in[HYPER_T]->shape.dim[1], product = 2 * pairs * d;
  bool dw = node_differentiates(n, HYPER_W), dt = node_differentiates(n, HYPER_T),
       dr = node_differentiates(n, HYPER_R);
  return (struct flops){pairs + product,
                        dw * (pairs + product) + (dt || dr) * product + (dt + dr) * 2 * pairs};
}

static const struct op op = {.name = "hyper_bilinear", .flops = flops};

struct value hyper_bilinear(struct graph *g, struct value w, struct value t, struct value r) {
  struct value in[] = {w, t, r};
  struct shape sw = graph_shape(g, w), st = graph_shape(g, t), sr = graph_shape(g, r);
  if (sw.n_dims != 2 || st.n_dims != 2 || sr.n_dims != 2 || st.dim[0] != sr.dim[0] ||
      sw.dim[1] != st.dim[1] || sw.dim[0] != sr.dim[1] * sr.dim[1]) {
    graph_fail_shapes(g, "hyper_bilinear", "needs [D*D,K], [B,K] and [B,D]", in, 3);
  }
  return graph_node(g, &op, NULL, 0, in, 3, sr);
}
