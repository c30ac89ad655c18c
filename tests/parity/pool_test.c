#include "nn/avg_pool_global/avg_pool_global.h"
#include "nn/conv2d/conv2d.h"
#include "nn/max_pool/max_pool.h"
#include "nn/relu/relu.h"

#include "op_check.h"

/* arg: N C H W, convolution before, kernel, stride, pad */
static struct value images(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_4(a[0], a[1], a[2], a[3]));
  return a[4] ? conv2d(g, x, op_input(g, "w", shape_4(a[1], a[1], 1, 1)), 1, 0) : x;
}
static struct value build_max(struct graph *g, const int64_t *a) {
  return max_pool(g, images(g, a), (int)a[5], (int)a[6], (int)a[7]);
}
/* Windows full of equal zeros. */
static struct value build_tied(struct graph *g, const int64_t *a) {
  return max_pool(g, relu(g, images(g, a)), (int)a[5], (int)a[6], (int)a[7]);
}
static struct value build_average(struct graph *g, const int64_t *a) {
  return avg_pool_global(g, images(g, a));
}

static const struct op_case cases[] = {
    {"max", build_max, {1, 3, 5, 7, 0, 3, 2, 1}},
    {"max of even windows", build_max, {2, 5, 6, 4, 0, 2, 2, 0}},
    {"max of windows beside each other by one", build_max, {1, 3, 5, 4, 0, 3, 1, 1}},
    {"max of long windows in steps of two", build_max, {2, 9, 9, 7, 0, 5, 2, 2}},
    {"max of single pixels in steps of two", build_max, {1, 8, 5, 6, 0, 1, 2, 0}},
    {"max that leaves a rim out", build_max, {1, 2, 5, 8, 0, 2, 3, 0}},
    {"max behind a convolution", build_max, {2, 17, 7, 6, 1, 3, 2, 1}, .chained = true},
    {"max of ties", build_tied, {2, 8, 6, 6, 0, 3, 2, 1}},
    {"average", build_average, {1, 3, 5, 3, 0}},
    {"average behind a convolution", build_average, {3, 17, 2, 3, 1}},
};

OP_TEST_MAIN()
