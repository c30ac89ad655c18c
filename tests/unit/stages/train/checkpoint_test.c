#include "train/checkpoint.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tiny.h"

struct training {
  struct step *s;
  struct updater *updater;
};

static struct training open_with(const char *optimiser, const char *device, uint64_t seed) {
  struct model_options model = {"resnet10", "cifar", 2};
  struct method_options o = {"stl", NULL, "6-4", "5-4", "4-3", 0.2, {1, 1, 0.2}};
  struct step_config config = {&model, &o, TINY_N, TINY_SIDE, TINY_SIDE, device, 1};
  struct optimiser_config how = {0.9, 5e-4, .name = optimiser};
  const double own[3] = {strcmp(optimiser, "lars") == 0 ? 0.001 : 0.9, 0.999, 1e-8};
  memcpy(how.own.bytes, own, sizeof own);
  struct training t = {0};
  TINY_OK(step_open(&t.s, &config));
  TINY_OK(graph_init(t.s->graph, seed));
  tiny_set_scales(t.s);
  TINY_OK(updater_open(&t.updater, t.s->graph, &how));
  return t;
}

static struct training open_training(uint64_t seed) { return open_with("sgd", "ref", seed); }

static void close_training(struct training *t) {
  updater_close(&t->updater);
  step_close(&t->s);
}

static void train_steps(struct training *t, int n) {
  static double views[TINY_VIEWS];
  tiny_views(views);
  for (int i = 0; i < n; i++) {
    tiny_forward(t->s, views);
    TINY_OK(step_update(t->s, t->updater, &(struct pace){0.03, 0.03, 0, 1}));
  }
}

static json_t *settings(const char *method, int threads) {
  return json_pack("{s:s, s:i}", "method", method, "threads", threads);
}

static void save(struct training *t, const char *folder, int64_t step, int64_t keep) {
  json_t *j = settings("stl", 2);
  TINY_OK(checkpoint_save(folder, step, keep, t->s, t->updater, j));
  json_decref(j);
}

static void expect_the_same_end(const char *optimiser, const char *device) {
  struct training a = open_with(optimiser, device, 1), b = open_with(optimiser, device, 2);
  char same[64], other[64], compare[256];
  snprintf(same, sizeof same, "same-%s-%s", optimiser, device);
  snprintf(other, sizeof other, "other-%s-%s", optimiser, device);
  TINY_OK(file_make_folder(same));
  train_steps(&a, 2);
  save(&a, same, 2, 1);
  train_steps(&a, 2);
  struct safetensors *file;
  int64_t step;
  TINY_OK(checkpoint_find(&file, same, &step));
  assert_int_equal(step, 2);
  TINY_OK(checkpoint_restore(file, b.s, b.updater));
  safetensors_close(&file);
  train_steps(&b, 2);
  save(&a, same, 4, 2);
  TINY_OK(file_make_folder(other));
  save(&b, other, 4, 2);
  snprintf(compare, sizeof compare,
           "cmp -s %s/checkpoint-00000004.safetensors %s/checkpoint-00000004.safetensors", same, other);
  assert_int_equal(system(compare), 0);
  close_training(&a);
  close_training(&b);
}

/* On the float64 backend too: a checkpoint holds the device's own precision. */
static void a_restored_run_ends_with_the_same_bits(void **state) {
  (void)state;
  static const char *const optimisers[] = {"sgd", "lars", "adam"}, *const devices[] = {"ref", "cpu"};
  for (int i = 0; i < 6; i++) expect_the_same_end(optimisers[i / 2], devices[i % 2]);
}

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static void only_the_newest_are_kept(void **state) {
  (void)state;
  struct training t = open_training(1);
  TINY_OK(file_make_folder("keep"));
  for (int64_t step = 8; step <= 12; step += 2) save(&t, "keep", step, 2);
  save(&t, "keep", 123456789, 2);
  assert_false(exists("keep/checkpoint-00000008.safetensors"));
  assert_false(exists("keep/checkpoint-00000010.safetensors"));
  assert_true(exists("keep/checkpoint-00000012.safetensors"));
  assert_true(exists("keep/checkpoint-123456789.safetensors"));
  TINY_OK(file_write("keep/checkpoint-00000014.safetensors.tmp-77", "x", 1));
  TINY_OK(file_write("keep/final.safetensors.tmp-8", "x", 1));
  TINY_OK(file_write("keep/notes.txt", "x", 1));
  TINY_OK(checkpoint_remove_partial("keep"));
  assert_false(exists("keep/checkpoint-00000014.safetensors.tmp-77"));
  assert_false(exists("keep/final.safetensors.tmp-8"));
  assert_true(exists("keep/notes.txt") && exists("keep/checkpoint-00000012.safetensors"));
  close_training(&t);
}

/* A damaged checkpoint of a later step, which resuming passed over, must not push out good ones. */
static void later_ones_do_not_count(void **state) {
  (void)state;
  struct training t = open_training(1);
  TINY_OK(file_make_folder("later"));
  TINY_OK(file_write("later/checkpoint-00000099.safetensors", "", 0));
  for (int64_t step = 4; step <= 6; step++) save(&t, "later", step, 2);
  assert_false(exists("later/checkpoint-00000004.safetensors"));
  assert_true(exists("later/checkpoint-00000005.safetensors"));
  assert_true(exists("later/checkpoint-00000006.safetensors"));
  assert_true(exists("later/checkpoint-00000099.safetensors"));
  close_training(&t);
}

static void what_is_not_finite_is_not_saved(void **state) {
  (void)state;
  static const double bad[] = {NAN, INFINITY};
  TINY_OK(file_make_folder("finite"));
  for (int i = 0; i < 2; i++) {
    struct training t = open_training(1);
    struct value w = graph_find(t.s->graph, "trans_projector.3.weight");
    int64_t n = shape_count(graph_shape(t.s->graph, w));
    double *data = calloc((size_t)n, sizeof *data);
    json_t *j = settings("stl", 2);
    assert_non_null(data);
    data[n - 1] = bad[i];
    TINY_OK(graph_write_f64(t.s->graph, w, data, n));
    assert_int_equal(checkpoint_save("finite", 3, 1, t.s, t.updater, j), E_NUMERIC);
    assert_non_null(strstr(fail_message(), "trans_projector.3.weight is not finite after 3 steps"));
    assert_false(exists("finite/checkpoint-00000003.safetensors"));
    json_decref(j);
    free(data);
    close_training(&t);
  }
}

static void flip_a_byte(const char *path, long from_end) {
  FILE *f = fopen(path, "r+");
  assert_non_null(f);
  fseek(f, -from_end, SEEK_END);
  int c = fgetc(f);
  fseek(f, -from_end, SEEK_END);
  fputc(c ^ 1, f);
  fclose(f);
}

static void damaged_ones_are_passed_over(void **state) {
  (void)state;
  struct training t = open_training(1);
  struct safetensors *file;
  int64_t step;
  TINY_OK(file_make_folder("damage"));
  assert_int_equal(checkpoint_find(&file, "damage", &step), E_NOT_FOUND);
  assert_int_equal(checkpoint_find(&file, "damage/nowhere", &step), E_NOT_FOUND);
  for (int64_t s = 1; s <= 3; s++) save(&t, "damage", s, 9);
  TINY_OK(file_write("damage/checkpoint-00000005.safetensors", "", 0));
  flip_a_byte("damage/checkpoint-00000003.safetensors", 100);
  TINY_OK(checkpoint_find(&file, "damage", &step));
  assert_int_equal(step, 2);
  safetensors_close(&file);
  assert_int_equal(truncate("damage/checkpoint-00000002.safetensors", 5000), 0);
  TINY_OK(checkpoint_find(&file, "damage", &step));
  assert_int_equal(step, 1);
  safetensors_close(&file);
  assert_int_equal(rename("damage/checkpoint-00000001.safetensors", "damage/checkpoint-00000007.safetensors"),
                   0);
  assert_int_equal(checkpoint_find(&file, "damage", &step), E_NOT_FOUND); /* it says step 1 inside */
  close_training(&t);
}

static void other_settings_are_refused_by_name(void **state) {
  (void)state;
  struct training t = open_training(1);
  struct safetensors *file;
  int64_t step;
  TINY_OK(file_make_folder("settings"));
  save(&t, "settings", 1, 1);
  TINY_OK(checkpoint_find(&file, "settings", &step));
  json_t *same = settings("stl", 2), *threads = settings("stl", 4), *method = settings("none", 2);
  assert_int_equal(checkpoint_check_settings(file, same), OK);
  assert_int_equal(checkpoint_check_settings(file, threads), OK); /* only warns */
  assert_int_equal(checkpoint_check_settings(file, method), E_ARG);
  assert_non_null(strstr(fail_message(), "method \"stl\""));
  json_decref(same);
  json_decref(threads);
  json_decref(method);
  safetensors_close(&file);
  close_training(&t);
}

static void a_checkpoint_of_another_network_does_not_fit(void **state) {
  (void)state;
  struct training t = open_training(1);
  struct step *simclr = tiny_open("simclr", 1, 0, 0);
  struct updater *updater;
  struct safetensors *file;
  int64_t step;
  json_t *j = settings("none", 1);
  TINY_OK(updater_open(&updater, simclr->graph, &(struct optimiser_config){0.9, 0}));
  TINY_OK(file_make_folder("network"));
  TINY_OK(checkpoint_save("network", 1, 1, simclr, updater, j));
  TINY_OK(checkpoint_find(&file, "network", &step));
  assert_int_equal(checkpoint_restore(file, t.s, t.updater), E_FORMAT);
  json_decref(j);
  safetensors_close(&file);
  updater_close(&updater);
  step_close(&simclr);
  close_training(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_restored_run_ends_with_the_same_bits),
                                     cmocka_unit_test(only_the_newest_are_kept),
                                     cmocka_unit_test(later_ones_do_not_count),
                                     cmocka_unit_test(what_is_not_finite_is_not_saved),
                                     cmocka_unit_test(damaged_ones_are_passed_over),
                                     cmocka_unit_test(other_settings_are_refused_by_name),
                                     cmocka_unit_test(a_checkpoint_of_another_network_does_not_fit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
