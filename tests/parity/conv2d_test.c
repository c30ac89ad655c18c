#include "nn/conv2d/conv2d.h"

#include "op_check.h"

/* arg: N C H W O k stride pad */
static struct value build(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_4(a[0], a[1], a[2], a[3])),
               w = op_input(g, "w", shape_4(a[4], a[1], a[5], a[5]));
  return conv2d(g, x, w, (int)a[6], (int)a[7]);
}

/* Two convolutions in a row, and the input used twice: layouts between them, gradients that add up. */
static struct value build_chain(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_4(a[0], a[1], a[2], a[3])),
               w = op_input(g, "w", shape_4(a[1], a[1], a[5], a[5]));
  struct value first = conv2d(g, x, w, 1, (int)a[7]);
  return conv2d(g, first, conv2d(g, op_input(g, "v", shape_4(a[4], a[1], a[5], a[5])), w, 1, (int)a[7]),
                (int)a[6], (int)a[7]);
}

static const struct op_case cases[] = {
    {"one pixel", build, {1, 1, 1, 1, 1, 1, 1, 0}},
    {"stem of 3 channels", build, {2, 3, 9, 11, 8, 7, 2, 3}},
    {"odd channels", build, {3, 5, 6, 5, 17, 3, 1, 1}},
    {"one image, strided", build, {1, 8, 7, 7, 3, 3, 2, 1}},
    {"pointwise, strided", build, {2, 16, 5, 5, 32, 1, 2, 0}},
    {"blocked", build, {2, 32, 4, 4, 16, 3, 1, 1}},
    {"weights shared, one of them computed", build_chain, {2, 6, 5, 4, 3, 3, 2, 1}, .products = 2},
};

OP_TEST_MAIN()
