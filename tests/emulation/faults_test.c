/* A GPU that is lost, and allocations that fail, at every call of a short training in turn: each time the run ends with
 * one message that says so, which closing keeps, and nothing crashes or stays behind. */
#include "nn/avg_pool_global/avg_pool_global.h"
#include "nn/conv2d/conv2d.h"
#include "nn/cross_entropy/cross_entropy.h"
#include "nn/engine.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/linear/linear.h"
#include "nn/optimiser.h"
#include "nn/weighted_sum/weighted_sum.h"
#include "test.h"

#include "emulation.h"

enum { IMAGES = 2, SIDE = 2, WIDTH = 8, CLASSES = 3, STEPS = 3 /* as called, recorded, repeated */ };

struct training {
  struct graph *g;
  struct value x, offset, loss;
  struct updater *updater;
};

static struct value weight(struct graph *g, const char *name, struct shape shape) {
  return graph_param(g, name, shape, (struct init){INIT_UNIFORM, 0.4});
}

/* With a constant of a node, images, a small input, a product and a convolution. */
static void build(struct training *t) {
  struct graph *g = t->g;
  const int32_t rows[] = {1, 0}, classes[] = {2, 0};
  t->x = graph_input(g, "x", shape_4(IMAGES, 3, SIDE, SIDE));
  t->offset = graph_input(g, "offset", shape_1(1));
  struct value y = conv2d(g, t->x, weight(g, "conv", shape_4(WIDTH, 3, 1, 1)), 1, 0);
  y = gather_rows(g, avg_pool_global(g, y), rows, IMAGES);
  y = linear(g, y, weight(g, "w", shape_2(CLASSES, WIDTH)), (struct value){0});
  t->loss = weighted_sum(g, (struct value[]){cross_entropy(g, y, classes), t->offset}, (double[]){1, 1}, 2);
  graph_output(g, "loss", t->loss);
}

static enum status body(void *context) {
  struct training *t = context;
  const double rate = 0.1;
  enum status st = OK;
  TRY(graph_forward(t->g));
  TRY(graph_backward(t->g));
  TRY(updater_step(t->updater, &rate));
out:
  return st;
}

static enum status step(struct training *t, uint8_t seed) {
  static const double mean[3] = {0.5, 0.4, 0.3}, std[3] = {0.2, 0.25, 0.3};
  uint8_t pixels[IMAGES * SIDE * SIDE * 3];
  double loss;
  enum status st = OK;
  memset(pixels, seed, sizeof pixels);
  TRY(graph_write_pixels(t->g, t->x, pixels, mean, std));
  TRY(graph_write_f32(t->g, t->offset, (float[]){seed}, 1));
  TRY(graph_step(t->g, body, t));
  TRY(graph_watched(t->g, &loss));
out:
  return st;
}

static enum status train(struct training *t) {
  enum status st = OK;
  float w[CLASSES * WIDTH];
  TRY(graph_open(&t->g, &(struct graph_config){.device = "cuda", .mode = GRAPH_TRAIN}));
  build(t);
  TRY(graph_plan(t->g, t->loss));
  TRY(graph_init(t->g, 1));
  TRY(graph_watch(t->g, &t->loss, 1));
  TRY(updater_open(&t->updater, t->g, &(struct optimiser_config){.momentum = 0.9}));
  for (int i = 0; i < STEPS; i++) TRY(step(t, (uint8_t)(i * 50)));
  TRY(graph_read_f32(t->g, graph_find(t->g, "w"), w, CLASSES * WIDTH));
out:
  return st;
}

/* The status of a training; if it failed, `message` is what it said first and last. */
static enum status train_and_close(char message[1024]) {
  struct training t = {0};
  const enum status st = train(&t);
  snprintf(message, 1024, "%s", fail_message());
  updater_close(&t.updater);
  graph_close(&t.g);
  if (st != OK) assert_string_equal(fail_message(), message);
  return st;
}

static void expect_failure(enum status st, enum status want, const char *message, const char *part,
                           size_t at) {
  if (st != want || !strstr(message, part))
    fail_msg("at call %zu: status %s, '%s'", at, status_name(st), message);
  if (strchr(message, '\n')) fail_msg("at call %zu: more than a line: '%s'", at, message);
  const struct emulation_memory left = emulation_memory();
  if (left.device + left.pinned) fail_msg("at call %zu: memory stays behind", at);
}

static void a_lost_gpu_ends_the_run_wherever_it_happens(void **state) {
  (void)state;
  char message[1024];
  size_t at = 0;
  for (;; at++) {
    emulation_lose_device_after(at);
    const enum status st = train_and_close(message);
    emulation_lose_device_after(SIZE_MAX);
    if (st == OK) break; /* the calls that close it are all that is left */
    expect_failure(st, E_DEVICE, message, "unspecified launch failure", at);
  }
  assert_true(at > 100);
  for (size_t closing = at; closing < at + 40; closing++) {
    emulation_lose_device_after(closing);
    assert_int_equal(train_and_close(message), OK);
    emulation_lose_device_after(SIZE_MAX);
  }
  assert_int_equal(train_and_close(message), OK);
}

static void an_allocation_that_fails_says_what_to_change(void **state) {
  (void)state;
  char message[1024];
  size_t at = 0;
  for (;; at++) {
    emulation_fail_allocation_after(at);
    const enum status st = train_and_close(message);
    emulation_fail_allocation_after(SIZE_MAX);
    if (st == OK) break;
    expect_failure(st, E_MEMORY, message, "MiB", at);
    expect_failure(st, E_MEMORY, message, "use a smaller --batch", at);
  }
  assert_true(at >= 12); /* arguments 3, losses, tensors 4, momentum, images 4 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_lost_gpu_ends_the_run_wherever_it_happens),
      cmocka_unit_test(an_allocation_that_fails_says_what_to_change),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
