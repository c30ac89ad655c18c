#include <math.h>

#include "tiny.h"
#include "train/trial.h"

static struct trial open_trial(const char *method) {
  struct model_options model = {"resnet10", "cifar", 2};
  struct method_options o = {method, NULL, "6-4", "5-4", "4-3", 0.2, {NAN, NAN, NAN}};
  if (strcmp(method, "byol") == 0 || strcmp(method, "simsiam") == 0) o.predictor = "5-4";
  struct optimiser_options sgd = {.lr = 0.01, .momentum = 0.9};
  struct trial t;
  TINY_OK(trial_open(
      &t,
      &(struct step_config){&model, &o, TINY_N, TINY_SIDE, TINY_SIDE, "ref", 1, TINY_SIDE / 2, TINY_SIDE / 2},
      &sgd));
  return t;
}

static int64_t numbers(const struct step *s, bool trained) {
  const struct graph_tensor *t;
  int64_t sum = 0;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++)
    if (t[i].trained == trained && !tiny_ends_with(t[i].name, "running_mean") &&
        !tiny_ends_with(t[i].name, "running_var") && !tiny_ends_with(t[i].name, "num_batches_tracked"))
      sum += shape_count(t[i].shape);
  return sum;
}

/* SGD reads parameter, gradient and momentum and writes two of them; the average of BYOL's target networks, whose
 * weights are the numbers that are kept untrained, reads two and writes one. float64. */
static void bytes_of_an_update(void **state) {
  (void)state;
  struct trial t = open_trial("simclr");
  const struct roofline r = {1, 1};
  assert_true(trial_work(&t, &r).update_bytes == 8.0 * 5 * (double)numbers(t.step, true));
  trial_close(&t);
  t = open_trial("byol");
  assert_true(numbers(t.step, false) > 0);
  assert_true(trial_work(&t, &r).update_bytes ==
              8.0 * (5 * (double)numbers(t.step, true) + 3 * (double)numbers(t.step, false)));
  trial_close(&t);
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-9 * fabs(b); }

static void work_at_the_devices_best(void **state) {
  (void)state;
  struct trial t = open_trial("stl");
  const struct roofline computes = {2, INFINITY}, moves = {INFINITY, 4}, both = {2, 4};
  const struct trial_work a = trial_work(&t, &computes), b = trial_work(&t, &moves),
                          c = trial_work(&t, &both);
  const double flops = a.flops.forward + a.flops.backward, bytes = a.forward_bytes + a.backward_bytes;
  assert_true(flops > 0 && bytes > 0);
  assert_true(near(a.least.forward_backward_s, flops / 2) && a.least.update_s == 0);
  assert_true(near(b.least.forward_backward_s, bytes / 4) && near(b.least.update_s, b.update_bytes / 4));
  assert_true(c.least.forward_backward_s > a.least.forward_backward_s &&
              c.least.forward_backward_s > b.least.forward_backward_s);
  assert_true(c.least.forward_backward_s < flops / 2 + bytes / 4);
  trial_close(&t);
}

/* Also of those that take labels; what has flags of its own is for tests/flow. */
static void steps_of_methods_and_bases(void **state) {
  (void)state;
  static const char *const methods[] = {"simclr", "byol", "simsiam", "equimod", "sen", "sie", "stl"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    struct trial t = open_trial(methods[i]);
    struct trial_times times = {-1, -1};
    for (int k = 0; k < 2; k++) TINY_OK(trial_step(&t, 0.01, &times));
    assert_true(times.forward_backward_s >= 0 && times.update_s >= 0);
    trial_close(&t);
  }
}

static void a_trial_that_cannot_be_opened(void **state) {
  (void)state;
  struct model_options model = {"resnet10", "cifar", 2};
  struct method_options o = {"stl", NULL, "6-", "5-4", "4-3", 0.2, {1, 1, 1}};
  struct trial t;
  assert_int_equal(trial_open(&t, &(struct step_config){&model, &o, TINY_N, TINY_SIDE, TINY_SIDE, "ref", 1},
                              &(struct optimiser_options){.lr = 0.01}),
                   E_ARG);
  trial_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_of_an_update), cmocka_unit_test(work_at_the_devices_best),
      cmocka_unit_test(steps_of_methods_and_bases), cmocka_unit_test(a_trial_that_cannot_be_opened)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
