#include "nn/batch_norm/batch_norm.h"
#include "nn/conv2d/conv2d.h"

#include "op_check.h"

static struct bn_params params(struct graph *g, int64_t channels) {
  return (struct bn_params){op_input(g, "gamma", shape_1(channels)), op_input(g, "beta", shape_1(channels)),
                            graph_buffer(g, "mean", shape_1(channels), (struct init){INIT_UNIFORM, 0.5}),
                            graph_buffer(g, "var", shape_1(channels), (struct init){INIT_ONE, 0})};
}

/* arg: N C H W groups relu residual; H 0: a matrix; behind a convolution if arg[7]: in its layout */
static struct value build(struct graph *g, const int64_t *a) {
  struct shape shape = a[2] ? shape_4(a[0], a[1], a[2], a[3]) : shape_2(a[0], a[1]);
  struct value x = op_input(g, "x", shape);
  if (a[7]) x = conv2d(g, x, op_input(g, "w", shape_4(a[1], a[1], 1, 1)), 1, 0);
  if (a[6]) return batch_norm_add_relu(g, x, params(g, a[1]), (int)a[4], op_input(g, "residual", shape));
  return batch_norm(g, x, params(g, a[1]), (int)a[4], a[5] != 0);
}

/* A residual block in small: x feeds the convolution and the sum. */
static struct value build_block(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_4(a[0], a[1], a[2], a[3])),
               w = op_input(g, "w", shape_4(a[1], a[1], 3, 3));
  struct value y = conv2d(g, batch_norm(g, conv2d(g, x, w, 1, 1), params(g, a[1]), (int)a[4], true), w, 1, 1);
  y = batch_norm_add_relu(g, y, params(g, a[1]), (int)a[4], x);
  return batch_norm_add_relu(g, conv2d(g, y, w, 1, 1), params(g, a[1]), (int)a[4], y);
}

static const struct op_case cases[] = {
    {"matrix", build, {6, 5, 0, 0, 1, 0, 0, 0}},
    {"matrix in groups with ReLU", build, {12, 17, 0, 0, 3, 1, 0, 0}},
    {"matrix of more rows than chunks", build, {75, 3, 0, 0, 1, 1, 0, 0}},
    {"planes longer than a segment", build, {2, 2, 66, 70, 1, 1, 0, 0}},
    {"planes longer than a segment, residual behind a convolution", build, {2, 3, 17, 31, 2, 1, 1, 1}},
    {"one image", build, {1, 3, 3, 2, 1, 1, 0, 0}},
    {"images in groups", build, {4, 5, 3, 4, 2, 0, 0, 0}},
    {"images in groups with ReLU", build, {4, 16, 3, 3, 2, 1, 0, 0}},
    {"more groups than lanes of a warp", build, {70, 3, 0, 0, 35, 1, 0, 0}},
    {"residual in groups of many chunks", build, {150, 8, 3, 3, 2, 1, 1, 0}},
    {"residual of whole vectors", build, {40, 24, 4, 4, 1, 1, 1, 0}},
    {"residual", build, {4, 8, 2, 3, 2, 1, 1, 0}},
    {"behind a convolution", build, {2, 17, 3, 3, 1, 1, 0, 1}},
    {"residual behind a convolution", build, {4, 16, 3, 5, 4, 1, 1, 1}},
    {"residual block", build_block, {2, 5, 4, 3, 2}, .chained = true},
    {"residual block of 16", build_block, {2, 16, 3, 3, 1}, .chained = true},
};

OP_TEST_MAIN()
