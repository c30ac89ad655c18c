#include "nn/max_pool/max_pool.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  const struct max_pool_attr *a = n->attr;
  double out = (double)shape_count(n->out->shape);
  return (struct flops){(double)(a->kernel * a->kernel - 1) * out, node_gradients(n) * out};
}

static const struct op op = {.name = "max_pool", .flops = flops};

struct value max_pool(struct graph *g, struct value x, int kernel, int stride, int pad) {
  struct shape s = graph_shape(g, x);
  if (kernel < 1 || stride < 1 || pad < 0 || 2 * pad > kernel) {
    graph_fail(g, E_ARG, "max_pool: kernel %d, stride %d, pad %d; need >= 1, >= 1 and 0..kernel/2", kernel,
               stride, pad);
    kernel = stride = 1;
    pad = 0;
  }
  if (s.n_dims != 4 || s.dim[2] + 2 * pad < kernel || s.dim[3] + 2 * pad < kernel) {
    graph_fail_shapes(g, "max_pool", "needs [N,C,H,W] no smaller than the window", &x, 1);
  }
  struct max_pool_attr attr = {kernel, stride, pad};
  struct shape out = shape_4(s.dim[0], s.dim[1], (s.dim[2] + 2 * pad - kernel) / stride + 1,
                             (s.dim[3] + 2 * pad - kernel) / stride + 1);
  return graph_node(g, &op, &attr, sizeof attr, &x, 1, out);
}
