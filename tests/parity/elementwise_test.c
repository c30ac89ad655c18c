#include "nn/add/add.h"
#include "nn/conv2d/conv2d.h"
#include "nn/relu/relu.h"
#include "nn/weighted_sum/weighted_sum.h"

#include "op_check.h"

/* arg: N C H W, convolution before */
static struct value images(struct graph *g, const char *name, const int64_t *a) {
  struct value x = op_input(g, name, shape_4(a[0], a[1], a[2], a[3]));
  return a[4] ? conv2d(g, x, op_input(g, "w", shape_4(a[1], a[1], 1, 1)), 1, 0) : x;
}

static struct value build_relu(struct graph *g, const int64_t *a) { return relu(g, images(g, "x", a)); }
static struct value build_add(struct graph *g, const int64_t *a) {
  const int64_t plain[5] = {a[0], a[1], a[2], a[3], 0};
  return add(g, images(g, "x", a), images(g, "z", plain));
}
static struct value build_double(struct graph *g, const int64_t *a) {
  struct value x = images(g, "x", a);
  return add(g, add(g, x, x), relu(g, x));
}
static struct value build_weighted_sum(struct graph *g, const int64_t *a) {
  (void)a;
  struct value xs[] = {op_input(g, "x", shape_1(1)), op_input(g, "z", shape_1(1)),
                       op_input(g, "x", shape_1(1))};
  return weighted_sum(g, xs, (double[]){1, 0.2, -3}, 3);
}

static struct value build_matrix_sum(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_2(a[0], a[1])), z = op_input(g, "z", shape_2(a[0], a[1]));
  return weighted_sum(g, (struct value[]){x, z, x}, (double[]){-1, 0.5, 3}, 3);
}

static const struct op_case cases[] = {
    {"relu", build_relu, {2, 3, 3, 5}},
    {"relu behind a convolution", build_relu, {2, 5, 3, 5, 1}},
    {"add", build_add, {1, 17, 2, 3}},
    {"add of two layouts", build_add, {3, 17, 2, 3, 1}},
    {"a value added to itself", build_double, {2, 8, 2, 2, 1}},
    {"weighted sum", build_weighted_sum, {0}},
    {"weighted sum of matrices", build_matrix_sum, {3, 5}},
};

OP_TEST_MAIN()
