#include "nn/cross_entropy/cross_entropy.h"

#include "op_check.h"

/* arg: N C, then the classes */
static struct value build(struct graph *g, const int64_t *a) {
  int32_t classes[8];
  for (int64_t i = 0; i < a[0]; i++) classes[i] = (int32_t)a[2 + i];
  return cross_entropy(g, op_input(g, "x", shape_2(a[0], a[1])), classes);
}

static const struct op_case cases[] = {{"one row", build, {1, 4, 2}},
                                       {"one class", build, {3, 1, 0, 0, 0}},
                                       {"odd sizes", build, {5, 7, 6, 0, 3, 3, 1}}};

OP_TEST_MAIN()
