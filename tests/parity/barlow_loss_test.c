#include "nn/barlow_loss/barlow_loss.h"
#include "nn/linear/linear.h"

#include "op_check.h"

/* arg: N D, weight of what is off the diagonal in thousandths */
static struct value build(struct graph *g, const int64_t *a) {
  return barlow_loss(g, op_input(g, "z1", shape_2(a[0], a[1])), op_input(g, "z2", shape_2(a[0], a[1])),
                     (double)a[2] / 1000);
}
static struct value build_same(struct graph *g, const int64_t *a) {
  struct value z = op_input(g, "z", shape_2(a[0], a[1]));
  return barlow_loss(g, z, linear(g, z, op_input(g, "w", shape_2(a[1], a[1])), (struct value){0}),
                     (double)a[2] / 1000);
}

static const struct op_case cases[] = {{"one row", build, {1, 3, 5}, .products = 2},
                                       {"odd sizes", build, {7, 5, 5}, .products = 2},
                                       {"wide", build, {9, 70, 1000}, .products = 2},
                                       {"two branches of one value", build_same, {6, 3, 100}, .products = 3}};

OP_TEST_MAIN()
