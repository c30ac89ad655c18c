/* Training steps of STL on a GPU: recorded and replayed they are what they are when called, in every precision; with
 * --deterministic the same bytes in every run. */
#include "gpu/gpu.h"
#include "train/trial.h"

enum { STEPS = 6 };

static void called(void *context, const struct node *node, enum node_phase phase, int64_t nanoseconds) {
  (void)node, (void)phase, (void)nanoseconds;
  ++*(int64_t *)context;
}

/* All weights after some steps, as one array. An observed step is not recorded. */
static float *weights_after(enum precision precision, bool observed, int64_t *count) {
  struct model_options model = {"resnet10", "cifar", 16};
  struct method_options method = {"stl", NULL, "32-16", "32-8", "16-8", 0.2, {1, 1, 0.2}};
  struct trial t;
  int64_t calls = 0;
  CHECK(trial_open(&t,
                   &(struct step_config){.model = &model,
                                         .method = &method,
                                         .batch = 16,
                                         .height = 32,
                                         .width = 32,
                                         .device = "cuda",
                                         .precision = precision,
                                         .plans = PLANS_DETERMINISTIC},
                   &(struct optimiser_options){.lr = 0.03, .momentum = 0.9, .weight_decay = 5e-4}));
  if (observed) graph_observe(t.step->graph, called, &calls);
  for (int i = 0; i < STEPS; i++) CHECK(trial_step(&t, 0.03, NULL));
  assert_true(observed == (calls > 0));
  const struct graph_tensor *tensor;
  size_t n = graph_tensors(t.step->graph, &tensor);
  *count = 0;
  for (size_t i = 0; i < n; i++) *count += shape_count(tensor[i].shape);
  float *all = malloc((size_t)*count * sizeof *all), *at = all;
  assert_non_null(all);
  for (size_t i = 0; i < n; at += shape_count(tensor[i++].shape))
    CHECK(graph_read_f32(t.step->graph, tensor[i].value, at, shape_count(tensor[i].shape)));
  trial_close(&t);
  return all;
}

static void compare_runs(bool observed) {
  skip_without_gpu();
  for (int p = PRECISION_F32; p <= PRECISION_BF16; p++) {
    int64_t n, m;
    float *a = weights_after((enum precision)p, false, &n),
          *b = weights_after((enum precision)p, observed, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    free(a);
    free(b);
  }
}

static void deterministic_runs_end_in_the_same_bytes(void **state) {
  (void)state;
  compare_runs(false);
}

static void recorded_steps_are_those_that_are_called(void **state) {
  (void)state;
  compare_runs(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(deterministic_runs_end_in_the_same_bytes),
                                     cmocka_unit_test(recorded_steps_are_those_that_are_called)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
