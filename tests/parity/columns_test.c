#include "nn/columns/columns.h"
#include "nn/linear/linear.h"

#include "op_check.h"

/* arg: N D first count */
static struct value build(struct graph *g, const int64_t *a) {
  return columns(g, op_input(g, "x", shape_2(a[0], a[1])), a[2], a[3]);
}
/* Two overlapping slices of one value. */
static struct value build_two(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_2(a[0], a[1]));
  return linear(g, columns(g, x, 0, a[3]), columns(g, x, a[2], a[3]), (struct value){0});
}

static const struct op_case cases[] = {{"one row", build, {1, 5, 4, 1}},
                                       {"all", build, {3, 4, 0, 4}},
                                       {"in the middle", build, {5, 7, 2, 3}},
                                       {"overlapping", build_two, {3, 5, 1, 4}}};

OP_TEST_MAIN()
