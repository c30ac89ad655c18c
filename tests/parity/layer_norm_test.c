#include "nn/layer_norm/layer_norm.h"
#include "nn/linear/linear.h"

#include "op_check.h"

/* arg: N D */
static struct value build(struct graph *g, const int64_t *a) {
  return layer_norm(g, op_input(g, "x", shape_2(a[0], a[1])), op_input(g, "gamma", shape_1(a[1])),
                    op_input(g, "beta", shape_1(a[1])));
}
/* The same scale and shift twice. */
static struct value build_twice(struct graph *g, const int64_t *a) {
  struct value gamma = op_input(g, "gamma", shape_1(a[1])), beta = op_input(g, "beta", shape_1(a[1]));
  struct value y = layer_norm(g, op_input(g, "x", shape_2(a[0], a[1])), gamma, beta);
  return layer_norm(g, linear(g, y, op_input(g, "w", shape_2(a[1], a[1])), (struct value){0}), gamma, beta);
}

static const struct op_case cases[] = {{"one row", build, {1, 5}},
                                       {"odd sizes", build, {6, 17}},
                                       {"scale and shift used twice", build_twice, {4, 3}}};

OP_TEST_MAIN()
