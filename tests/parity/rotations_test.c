#include "nn/conv2d/conv2d.h"
#include "nn/rotations/rotations.h"

#include "op_check.h"

/* arg: N C S, convolution before */
static struct value build(struct graph *g, const int64_t *a) {
  struct value x = op_input(g, "x", shape_4(a[0], a[1], a[2], a[2]));
  if (a[3]) x = conv2d(g, x, op_input(g, "w", shape_4(a[1], a[1], 1, 1)), 1, 0);
  return rotations(g, x);
}

static const struct op_case cases[] = {{"one pixel", build, {1, 1, 1}},
                                       {"odd sizes", build, {3, 3, 5}},
                                       {"behind a convolution", build, {2, 17, 4, 1}}};

/* methods section 8 (6) */
static void turns_are_counter_clockwise(void **state) {
  (void)state;
  static const double x[4] = {0, 1, 2, 3}, want[16] = {0, 1, 2, 3, 1, 3, 0, 2, 3, 2, 1, 0, 2, 0, 3, 1};
  static const char *const devices[] = {"ref", "cpu"};
  for (int i = 0; i < 2; i++) {
    struct graph *g = NULL;
    double y[16];
    OP_OK(graph_open(&g, &(struct graph_config){devices[i], GRAPH_FORWARD, 1}));
    struct value in = graph_input(g, "x", shape_4(1, 1, 2, 2)), out = rotations(g, in);
    graph_output(g, "y", out);
    OP_OK(graph_plan(g, (struct value){0}));
    OP_OK(graph_write_f64(g, in, x, 4));
    OP_OK(graph_forward(g));
    OP_OK(graph_read_f64(g, out, y, 16));
    assert_memory_equal(y, want, sizeof want);
    graph_close(&g);
  }
}

OP_TEST_MAIN(cmocka_unit_test(turns_are_counter_clockwise))
