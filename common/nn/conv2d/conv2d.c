#include "nn/conv2d/conv2d.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  struct shape w = n->in[1]->shape;
  double products = 2.0 * (double)(shape_count(n->out->shape) * w.dim[1] * w.dim[2] * w.dim[3]);
  return (struct flops){products, node_gradients(n) * products};
}

static const struct op op = {.name = "conv2d", .flops = flops};

struct value conv2d(struct graph *g, struct value x, struct value w, int stride, int pad) {
  struct value in[] = {x, w};
  struct shape sx = graph_shape(g, x), sw = graph_shape(g, w);
  if (stride < 1 || pad < 0)
    graph_fail(g, E_ARG, "conv2d: stride %d and pad %d; need at least 1 and 0", stride, pad);
  int64_t k = sw.dim[2], step = stride < 1 ? 1 : stride;
  if (sx.n_dims != 4 || sw.n_dims != 4 || sw.dim[1] != sx.dim[1] || sw.dim[3] != k) {
    graph_fail_shapes(g, "conv2d", "needs [N,C,H,W] and [O,C,k,k]", in, 2);
  } else if (sx.dim[2] + 2 * pad < k || sx.dim[3] + 2 * pad < k) {
    graph_fail_shapes(g, "conv2d", "the padded image is smaller than the kernel", in, 2);
  }
  struct conv2d_attr attr = {step, pad};
  struct shape out = shape_4(sx.dim[0], sw.dim[0], (sx.dim[2] + 2 * pad - k) / step + 1,
                             (sx.dim[3] + 2 * pad - k) / step + 1);
  return graph_node(g, &op, &attr, sizeof attr, in, 2, out);
}
