#include "nn/info_nce/info_nce.h"
#include "nn/linear/linear.h"

#include "op_check.h"

/* arg: N D, temperature in percent */
static struct value build(struct graph *g, const int64_t *a) {
  struct value z1 = op_input(g, "z1", shape_2(a[0], a[1])), z2 = op_input(g, "z2", shape_2(a[0], a[1]));
  return info_nce(g, z1, z2, (double)a[2] / 100);
}
static struct value build_same(struct graph *g, const int64_t *a) {
  struct value z = op_input(g, "z", shape_2(a[0], a[1]));
  return info_nce(g, z, linear(g, z, op_input(g, "w", shape_2(a[1], a[1])), (struct value){0}),
                  (double)a[2] / 100);
}

static const struct op_case cases[] = {
    {"one pair", build, {1, 4, 20}},
    {"odd sizes", build, {5, 3, 20}},
    {"wide", build, {7, 33, 50}},
    {"several tiles of rows and columns", build, {150, 9, 20}},
    {"gradients in several chunks", build, {3, 150, 20}},
    {"two branches of one value", build_same, {4, 6, 20}},
};

OP_TEST_MAIN()
