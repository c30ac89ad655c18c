/* tanh_mse and bce_with_logits. */
#include "nn/bce_with_logits/bce_with_logits.h"
#include "nn/tanh_mse/tanh_mse.h"

#include "op_check.h"

/* arg: N D */
static struct value build_mse(struct graph *g, const int64_t *a) {
  struct value t = graph_buffer(g, "t", shape_2(a[0], a[1]), (struct init){INIT_UNIFORM, 1});
  return tanh_mse(g, op_input(g, "x", shape_2(a[0], a[1])), t);
}
static struct value build_bce(struct graph *g, const int64_t *a) {
  struct value t = graph_buffer(g, "t", shape_2(a[0], a[1]),
                                a[2] ? (struct init){INIT_ONE, 0} : (struct init){INIT_ZERO, 0});
  return bce_with_logits(g, op_input(g, "x", shape_2(a[0], a[1])), t);
}

static const struct op_case cases[] = {{"one number", build_mse, {1, 1}},
                                       {"tanh_mse", build_mse, {7, 5}},
                                       {"one true logit", build_bce, {1, 1, 1}},
                                       {"true", build_bce, {5, 3, 1}},
                                       {"false", build_bce, {17, 1, 0}}};

OP_TEST_MAIN()
