#include "nn/cosine_loss/cosine_loss.h"
#include "nn/linear/linear.h"

#include "op_check.h"

/* arg: N D, offset and scale in tenths */
static struct value build(struct graph *g, const int64_t *a) {
  struct value z = graph_buffer(g, "z", shape_2(a[0], a[1]), (struct init){INIT_UNIFORM, 1});
  return cosine_loss(g, op_input(g, "p", shape_2(a[0], a[1])), z, (double)a[2] / 10, (double)a[3] / 10);
}

static const struct op_case cases[] = {{"one row", build, {1, 3, 20, 20}},
                                       {"odd sizes", build, {5, 7, 0, 10}},
                                       {"wide", build, {3, 130, 40, 40}}};

/* SimSiam's: the target comes from the same weights, and passes no gradient on. */
static void the_target_passes_no_gradient_on(void **state) {
  (void)state;
  double with[6] = {0}, without[6] = {0};
  for (int shared = 0; shared < 2; shared++) {
    struct graph *g = NULL;
    OP_OK(graph_open(&g, &(struct graph_config){"ref", GRAPH_TRAIN, 1}));
    struct value none = {0}, x = graph_buffer(g, "x", shape_2(4, 2), (struct init){INIT_UNIFORM, 1}),
                 w = op_input(g, "w", shape_2(3, 2));
    struct value other = graph_shadow(g, "target.w", w);
    struct value y = linear(g, x, w, none);
    struct value z = shared ? y : linear(g, x, other, none);
    struct value p = linear(g, y, op_input(g, "h", shape_2(3, 3)), none);
    OP_OK(graph_plan(g, cosine_loss(g, p, z, 0, 1)));
    OP_OK(graph_init(g, 3));
    OP_OK(graph_forward(g));
    OP_OK(graph_backward(g));
    OP_OK(graph_read_f64(g, graph_gradient(g, w), shared ? with : without, 6));
    assert_int_equal(graph_gradient(g, other).id, 0);
    graph_close(&g);
  }
  for (int i = 0; i < 6; i++) assert_true(with[i] == without[i] && with[i] != 0);
}

OP_TEST_MAIN(cmocka_unit_test(the_target_passes_no_gradient_on))
