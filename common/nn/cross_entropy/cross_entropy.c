#include "nn/cross_entropy/cross_entropy.h"

#include "nn/engine.h"

static struct flops flops(const struct node *n) {
  double size = (double)shape_count(n->in[0]->shape);
  return (struct flops){5 * size, node_gradients(n) * 2 * size};
}

static const struct op op = {.name = "cross_entropy", .flops = flops};

struct value cross_entropy(struct graph *g, struct value logits, const int32_t *classes) {
  struct shape s = graph_shape(g, logits);
  if (s.n_dims != 2) {
    graph_fail_shapes(g, "cross_entropy", "needs [N,C]", &logits, 1);
    return (struct value){0};
  }
  for (int64_t i = 0; i < s.dim[0]; i++) {
    if (classes[i] >= 0 && classes[i] < s.dim[1]) continue;
    graph_fail(g, E_ARG, "cross_entropy: class %d of row %lld is not one of %lld", (int)classes[i],
               (long long)i, (long long)s.dim[1]);
  }
  return graph_node(g, &op, classes, (size_t)s.dim[0] * sizeof *classes, &logits, 1, shape_1(1));
}
