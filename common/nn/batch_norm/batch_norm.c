#include "nn/batch_norm/batch_norm.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  /* Forward, per element: mean 1, variance 3, scale and shift 2. Backward: the sums of dy and of dy xhat 5, dx 4. */
  const struct batch_norm_attr *a = n->attr;
  double size = (double)shape_count(n->out->shape);
  bool any = node_gradients(n) > 0, dx = node_differentiates(n, BN_X);
  return (struct flops){(6 + a->relu + a->residual) * size, (any * (5 + a->relu) + dx * 4) * size};
}

static const struct op op = {.name = "batch_norm", .constant = 1 << BN_MEAN | 1 << BN_VAR, .flops = flops};

static struct value build(struct graph *g, const struct value *in, int n_in,
                          const struct batch_norm_attr *attr) {
  struct shape x = graph_shape(g, in[BN_X]);
  bool fits = x.n_dims == 4 || x.n_dims == 2;
  for (int i = BN_GAMMA; i <= BN_VAR; i++)
    fits = fits && shape_equal(graph_shape(g, in[i]), shape_1(x.dim[1]));
  if (!fits) graph_fail_shapes(g, "batch_norm", "needs [N,C,H,W] or [N,C], then four times [C]", in, n_in);
  if (n_in > BN_RESIDUAL && !shape_equal(graph_shape(g, in[BN_RESIDUAL]), x)) {
    graph_fail_shapes(g, "batch_norm", "the residual must have the shape of x", in, n_in);
  }
  if (attr->groups < 1 || x.dim[0] % attr->groups != 0) {
    graph_fail(g, attr->groups < 1 ? E_ARG : E_SHAPE,
               "batch_norm: a batch of %lld cannot be cut into %lld groups", (long long)x.dim[0],
               (long long)attr->groups);
  }
  if (graph_mode_of(g) != GRAPH_INFERENCE && shape_count(x) == attr->groups * x.dim[1]) {
    graph_fail(g, E_ARG, "batch_norm: one number per channel has no variance; use a larger batch");
  }
  return graph_node(g, &op, attr, sizeof *attr, in, n_in, x);
}

struct value batch_norm(struct graph *g, struct value x, struct bn_params p, int groups, bool relu) {
  struct value in[] = {x, p.gamma, p.beta, p.mean, p.var};
  return build(g, in, 5, &(struct batch_norm_attr){groups, 1e-5, relu, false});
}

struct value batch_norm_add_relu(struct graph *g, struct value x, struct bn_params p, int groups,
                                 struct value residual) {
  struct value in[] = {x, p.gamma, p.beta, p.mean, p.var, residual};
  return build(g, in, 6, &(struct batch_norm_attr){groups, 1e-5, true, true});
}
