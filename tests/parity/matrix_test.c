#include "nn/concat/concat.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/linear/linear.h"

#include "op_check.h"

/* arg: N I O bias */
static struct value build_linear(struct graph *g, const int64_t *a) {
  struct value none = {0};
  return linear(g, op_input(g, "x", shape_2(a[0], a[1])), op_input(g, "w", shape_2(a[2], a[1])),
                a[3] ? op_input(g, "bias", shape_1(a[2])) : none);
}
/* The same weights twice, as a head that two branches share. */
static struct value build_shared(struct graph *g, const int64_t *a) {
  struct value w = op_input(g, "w", shape_2(a[1], a[1])), bias = op_input(g, "bias", shape_1(a[1]));
  return linear(g, linear(g, op_input(g, "x", shape_2(a[0], a[1])), w, bias), w, bias);
}
/* arg: axis, then sizes */
static struct value build_concat(struct graph *g, const int64_t *a) {
  struct value xs[] = {op_input(g, "x", a[0] ? shape_2(3, a[1]) : shape_2(a[1], 3)),
                       op_input(g, "z", a[0] ? shape_2(3, a[2]) : shape_2(a[2], 3)),
                       op_input(g, "x", a[0] ? shape_2(3, a[1]) : shape_2(a[1], 3))};
  return concat(g, (int)a[0], xs, 3);
}
static struct value build_gather(struct graph *g, const int64_t *a) {
  return gather_rows(g, op_input(g, "x", shape_2(a[0], a[1])), (int32_t[]){1, 0, 2, 0, 0}, 5);
}
/* arg: B D K */
static struct value build_hyper(struct graph *g, const int64_t *a) {
  struct value w = op_input(g, "w", shape_2(a[1] * a[1], a[2]));
  return hyper_bilinear(g, w, op_input(g, "t", shape_2(a[0], a[2])), op_input(g, "r", shape_2(a[0], a[1])));
}
static struct value build_hyper_twice(struct graph *g, const int64_t *a) {
  struct value w = op_input(g, "w", shape_2(a[1] * a[1], a[2])), t = op_input(g, "t", shape_2(a[0], a[2]));
  return hyper_bilinear(g, w, t, hyper_bilinear(g, w, t, op_input(g, "r", shape_2(a[0], a[1]))));
}

static const struct op_case cases[] = {
    {"linear", build_linear, {5, 7, 3, 0}},
    {"linear of one row with bias", build_linear, {1, 17, 8, 1}},
    {"linear of many rows with bias", build_linear, {300, 3, 35, 1}},
    {"linear with shared weights", build_shared, {3, 4}, .products = 2},
    {"rows joined", build_concat, {0, 2, 1}},
    {"columns joined", build_concat, {1, 5, 1}},
    {"rows gathered", build_gather, {4, 3}},
    {"hyper bilinear", build_hyper, {3, 5, 3}},
    {"hyper bilinear of one row", build_hyper, {1, 3, 8}},
    {"hyper bilinear in slabs, the last one ragged", build_hyper, {2, 40, 130}},
    {"hyper bilinear of many rows", build_hyper, {37, 11, 19}},
    {"hyper bilinear of many i", build_hyper, {2, 70, 16}},
    {"hyper bilinear of many k", build_hyper, {2, 3, 4100}},
    {"hyper bilinear in large slabs, the last one ragged", build_hyper, {2, 3, 30000}},
    {"hyper bilinear in slabs of whole vectors, the last one ragged", build_hyper, {3, 10, 8192}},
    {"hyper bilinear with shared weights", build_hyper_twice, {4, 4, 2}, .products = 2},
};

OP_TEST_MAIN()
