/* Graphs of several threads on one machine: a training beside networks that come and go, as those of evaluations do, and
 * a graph on the second GPU that another thread drives than the one that opened it. */
#include <pthread.h>
#include <stdatomic.h>

#include "nn/avg_pool_global/avg_pool_global.h"
#include "nn/cross_entropy/cross_entropy.h"
#include "nn/engine.h"
#include "nn/linear/linear.h"
#include "nn/optimiser.h"
#include "test.h"

#include "emulation.h"

enum {
  IMAGES = 4,
  SIDE = 3,
  CLASSES = 5,
  STEPS = 60,
  BYTES = IMAGES * SIDE * SIDE * 3,
  NUMBERS = CLASSES * 3
};

static const struct emulation_machine sound = {1, CUDART_VERSION, 90, (size_t)4 << 30, 0};

struct training {
  const char *device;
  struct graph *g;
  struct value x, w, loss;
  struct updater *updater;
  float weights[NUMBERS]; /* at the end */
  enum status status;     /* of a thread, whose message fail_message() does not have */
  char message[1024];
};

static enum status open_training(struct training *t, const char *device) {
  static const int32_t classes[IMAGES] = {4, 0, 2, 1};
  enum status st = OK;
  *t = (struct training){.device = device};
  TRY(graph_open(&t->g, &(struct graph_config){.device = device, .mode = GRAPH_TRAIN}));
  t->x = graph_input(t->g, "x", shape_4(IMAGES, 3, SIDE, SIDE));
  t->w = graph_param(t->g, "w", shape_2(CLASSES, 3), (struct init){INIT_UNIFORM, 1});
  t->loss = cross_entropy(t->g, linear(t->g, avg_pool_global(t->g, t->x), t->w, (struct value){0}), classes);
  graph_output(t->g, "loss", t->loss);
  TRY(graph_plan(t->g, t->loss));
  TRY(graph_init(t->g, 3));
  TRY(graph_watch(t->g, &t->loss, 1));
  TRY(updater_open(&t->updater, t->g, &(struct optimiser_config){.momentum = 0.9}));
out:
  return st;
}

static void close_training(struct training *t) {
  updater_close(&t->updater);
  graph_close(&t->g);
}

static enum status body(void *context) {
  struct training *t = context;
  const double rate = 0.01;
  enum status st = OK;
  TRY(graph_forward(t->g));
  TRY(graph_backward(t->g));
  TRY(updater_step(t->updater, &rate));
out:
  return st;
}

static enum status train(struct training *t, int steps) {
  static const double mean[3] = {0.5, 0.4, 0.3}, std[3] = {0.2, 0.25, 0.3};
  uint8_t pixels[BYTES];
  double loss;
  enum status st = OK;
  for (int i = 0; i < steps; i++) {
    for (int k = 0; k < BYTES; k++) pixels[k] = (uint8_t)(k * 31 + i * 7);
    TRY(graph_write_pixels(t->g, t->x, pixels, mean, std));
    TRY(graph_step(t->g, body, t));
    TRY(graph_watched(t->g, &loss));
  }
  TRY(graph_read_f32(t->g, t->w, t->weights, NUMBERS));
out:
  return st;
}

static void keep_status(struct training *t, enum status st) {
  t->status = st;
  if (st != OK) snprintf(t->message, sizeof t->message, "%s", fail_message());
}

static void check(const struct training *t) {
  if (t->status != OK) fail_msg("%s", t->message);
}

static void *train_here(void *context) {
  struct training *t = context;
  keep_status(t, train(t, STEPS));
  return NULL;
}

static atomic_bool enough;

/* Opens, runs, closes, again and again. */
static void *evaluate(void *context) {
  struct training *t = context;
  enum status st = OK;
  while (st == OK && !atomic_load(&enough)) {
    st = open_training(t, "cuda");
    if (st == OK) st = train(t, 4);
    close_training(t);
  }
  keep_status(t, st);
  return NULL;
}

static void networks_of_two_threads_do_not_meet(void **state) {
  (void)state;
  struct training alone, beside, other;
  pthread_t thread;
  keep_status(&alone, open_training(&alone, "cuda"));
  check(&alone);
  train_here(&alone);
  check(&alone);
  close_training(&alone);
  atomic_store(&enough, false);
  assert_int_equal(pthread_create(&thread, NULL, evaluate, &other), 0);
  keep_status(&beside, open_training(&beside, "cuda"));
  if (beside.status == OK) train_here(&beside);
  atomic_store(&enough, true);
  pthread_join(thread, NULL);
  check(&beside);
  check(&other);
  close_training(&beside);
  assert_memory_equal(alone.weights, beside.weights, sizeof alone.weights);
}

/* What another thread asks of the graph goes to the graph's GPU, not to the thread's own, which is the first. */
static void a_graph_takes_its_gpu_to_other_threads(void **state) {
  (void)state;
  struct training t;
  pthread_t thread;
  struct emulation_machine two = sound;
  two.devices = 2;
  emulation_set_machine(two);
  keep_status(&t, open_training(&t, "cuda:1"));
  check(&t);
  assert_int_equal(pthread_create(&thread, NULL, train_here, &t), 0);
  pthread_join(thread, NULL);
  close_training(&t);
  emulation_set_machine(sound);
  check(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(networks_of_two_threads_do_not_meet),
                                     cmocka_unit_test(a_graph_takes_its_gpu_to_other_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
