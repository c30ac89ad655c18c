/* methods section 8 (9, 10): the base losses beside InfoNCE at known values, on every backend; what losses
 * refuse. */
#include <math.h>

#include "nn/barlow_loss/barlow_loss.h"
#include "nn/bce_with_logits/bce_with_logits.h"
#include "nn/columns/columns.h"
#include "nn/cosine_loss/cosine_loss.h"
#include "nn/cross_entropy/cross_entropy.h"
#include "nn/engine.h"
#include "nn/layer_norm/layer_norm.h"
#include "nn/rotations/rotations.h"
#include "nn/tanh_mse/tanh_mse.h"
#include "test.h"

#define CHECK(expr)                                                                                          \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

typedef struct value loss_of_two(struct graph *g, struct value a, struct value b);

static struct value byol(struct graph *g, struct value a, struct value b) {
  return cosine_loss(g, a, b, 2, 2);
}
static struct value simsiam(struct graph *g, struct value a, struct value b) {
  return cosine_loss(g, a, b, 0, 1);
}
static struct value barlow(struct graph *g, struct value a, struct value b) {
  return barlow_loss(g, a, b, 0.0051);
}

static const struct {
  const char *name;
  loss_of_two *loss;
  int64_t n, d;
  double a[8], b[8], want, tolerance;
} cases[] = {
    {"BYOL of parallel rows", byol, 1, 2, {1, 2}, {3, 6}, 0, 1e-6},
    {"BYOL of orthogonal rows", byol, 1, 2, {1, 2}, {-2, 1}, 2, 1e-6},
    {"BYOL of opposite rows", byol, 2, 2, {1, 2, 0, 1}, {-1, -2, 0, -5}, 4, 1e-6},
    {"BYOL of rows of zeros", byol, 1, 2, {0, 0}, {1, 1}, 2, 1e-6},
    {"SimSiam of identical rows", simsiam, 2, 2, {1, 2, 3, 4}, {1, 2, 3, 4}, -1, 1e-6},
    {"Barlow of identical sides",
     barlow,
     4,
     2,
     {1, 1, 1, -1, -1, 1, -1, -1},
     {1, 1, 1, -1, -1, 1, -1, -1},
     0,
     1e-6},
    {"Barlow of opposite sides",
     barlow,
     4,
     2,
     {1, 1, 1, -1, -1, 1, -1, -1},
     {-1, -1, -1, 1, 1, -1, 1, 1},
     7.99992,
     1e-5},
    {"Barlow of equal columns",
     barlow,
     4,
     2,
     {1, 1, 1, 1, -1, -1, -1, -1},
     {1, 1, 1, 1, -1, -1, -1, -1},
     0.0102,
     1e-5},
    {"mean square of tanh", tanh_mse, 1, 2, {0, 0}, {0.5, -1}, 0.625, 1e-6},
    {"undecided logits", bce_with_logits, 2, 1, {0, 0}, {0, 1}, 0.69314718, 1e-6},
    {"sure and right, sure and wrong", bce_with_logits, 2, 1, {500, 500}, {1, 0}, 250, 1e-4},
};

static double value_of(const char *device, size_t i) {
  struct graph *g = NULL;
  double y;
  int64_t n = cases[i].n, d = cases[i].d;
  CHECK(graph_open(&g, &(struct graph_config){device, GRAPH_FORWARD, 2}));
  struct value a = graph_input(g, "a", shape_2(n, d)), b = graph_input(g, "b", shape_2(n, d));
  struct value loss = cases[i].loss(g, a, b);
  graph_output(g, "loss", loss);
  CHECK(graph_plan(g, (struct value){0}));
  CHECK(graph_write_f64(g, a, cases[i].a, n * d));
  CHECK(graph_write_f64(g, b, cases[i].b, n * d));
  CHECK(graph_forward(g));
  CHECK(graph_read_f64(g, loss, &y, 1));
  graph_close(&g);
  return y;
}

static void losses_have_known_values(void **state) {
  (void)state;
  static const char *const devices[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int d = 0; d < 2; d++) {
      double y = value_of(devices[d], i);
      if (!(fabs(y - cases[i].want) <= cases[i].tolerance))
        fail_msg("%s on %s: %.9g, not %.9g", cases[i].name, devices[d], y, cases[i].want);
    }
}

static struct value bad(struct graph *g, int which) {
  struct value x = graph_input(g, "x", shape_2(2, 3)), y = graph_input(g, "y", shape_2(3, 2)),
               v = graph_input(g, "v", shape_1(2)), image = graph_input(g, "image", shape_4(1, 1, 2, 3));
  static const int32_t classes[2] = {0, 3};
  switch (which) {
  case 0: return cosine_loss(g, x, y, 0, 1);
  case 1: return barlow_loss(g, v, v, 1);
  case 2: return cross_entropy(g, v, classes);
  case 3: return cross_entropy(g, x, classes);
  case 4: return tanh_mse(g, x, y);
  case 5: return bce_with_logits(g, v, v);
  case 6: return layer_norm(g, x, v, v);
  case 7: return columns(g, x, 2, 2);
  case 8: return columns(g, v, 0, 1);
  default: return rotations(g, image);
  }
}

static void what_does_not_fit_is_refused_by_name(void **state) {
  (void)state;
  static const struct {
    enum status status;
    const char *message;
  } want[] = {{E_SHAPE, "cosine_loss: needs"},   {E_SHAPE, "barlow_loss: needs"},
              {E_SHAPE, "cross_entropy: needs"}, {E_ARG, "class 3 of row 1 is not one of 3"},
              {E_SHAPE, "tanh_mse: needs"},      {E_SHAPE, "bce_with_logits: needs"},
              {E_SHAPE, "layer_norm: needs"},    {E_ARG, "columns: 2 from 2"},
              {E_SHAPE, "columns: needs"},       {E_SHAPE, "rotations: needs"}};
  for (int i = 0; i < 10; i++) {
    struct graph *g = NULL;
    CHECK(graph_open(&g, &(struct graph_config){"ref", GRAPH_FORWARD, 1}));
    bad(g, i);
    enum status st = graph_plan(g, (struct value){0});
    if (st != want[i].status || !strstr(fail_message(), want[i].message))
      fail_msg("case %d: %s: %s", i, status_name(st), fail_message());
    graph_close(&g);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(losses_have_known_values),
                                     cmocka_unit_test(what_does_not_fit_is_refused_by_name)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
