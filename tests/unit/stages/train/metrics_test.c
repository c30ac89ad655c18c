#include "train/metrics.h"

#include "tiny.h"

enum { N_STEPS = 6, STEPS_PER_EPOCH = 2 };

static void write_steps(struct step *s, int first, int last) {
  struct metrics *m;
  TINY_OK(metrics_open(&m, "metrics.jsonl", first, NULL));
  for (int i = first; i < last; i++) {
    struct losses l = {i + 0.5, {i, 0, 0}};
    struct scalars measured = {0};
    scalars_put_losses(&measured, s, 0.03, &l);
    TINY_OK(metrics_add(m, i, i / STEPS_PER_EPOCH, &measured));
  }
  TINY_OK(metrics_sync(m));
  metrics_close(&m);
}

static int count_lines(void) {
  FILE *f = fopen("metrics.jsonl", "r");
  int lines = 0;
  for (int c; (c = fgetc(f)) != EOF;) lines += c == '\n';
  fclose(f);
  return lines;
}

static void a_resumed_file_is_the_undisturbed_one(void **state) {
  (void)state;
  struct step *s = tiny_open("simclr", 1, 0, 0);
  write_steps(s, 0, N_STEPS);
  assert_int_equal(count_lines(), N_STEPS);
  assert_int_equal(rename("metrics.jsonl", "whole.jsonl"), 0);
  write_steps(s, 0, 5);
  FILE *f = fopen("metrics.jsonl", "a"); /* what a killed process can leave */
  fputs("{\"step\":5,\"ep", f);
  fclose(f);
  write_steps(s, 3, N_STEPS);
  assert_int_equal(system("cmp -s metrics.jsonl whole.jsonl"), 0);
  step_close(&s);
}

static void a_new_run_starts_an_empty_file(void **state) {
  (void)state;
  struct step *s = tiny_open("simclr", 1, 0, 0);
  write_steps(s, 0, 4);
  write_steps(s, 0, 1);
  assert_int_equal(count_lines(), 1);
  step_close(&s);
}

static void an_epochs_mean_is_over_its_own_lines(void **state) {
  (void)state;
  struct step *s = tiny_open("simclr", 1, 0, 0);
  json_t *mean;
  write_steps(s, 0, N_STEPS);
  TINY_OK(metrics_epoch_mean("metrics.jsonl", 2, &mean));
  assert_true(json_number_value(json_object_get(mean, "total")) == 5);
  assert_true(json_number_value(json_object_get(mean, "inv")) == 4.5);
  assert_null(json_object_get(mean, "equi")); /* a term that is left out is not written */
  json_decref(mean);
  assert_int_equal(metrics_epoch_mean("metrics.jsonl", 3, &mean), E_NOT_FOUND);
  assert_int_equal(metrics_epoch_mean("nothing.jsonl", 0, &mean), E_IO);
  step_close(&s);
}

static void the_last_line_with_a_key_is_found(void **state) {
  (void)state;
  struct metrics *m;
  json_t *line;
  TINY_OK(metrics_open(&m, "scores.jsonl", 0, NULL));
  assert_int_equal(metrics_last(m, "knn", &line), E_NOT_FOUND);
  assert_null(line);
  for (int i = 0; i < 4; i++) {
    struct scalars measured = {0};
    scalars_put(&measured, i < 3 ? "knn" : "total", 0.25 * i);
    TINY_OK(metrics_add(m, 7 + i, i, &measured));
  }
  TINY_OK(metrics_last(m, "knn", &line));
  assert_int_equal(json_integer_value(json_object_get(line, "step")), 9);
  assert_int_equal(json_integer_value(json_object_get(line, "epoch")), 2);
  assert_true(json_number_value(json_object_get(line, "knn")) == 0.5);
  json_decref(line);
  metrics_close(&m);
}

static void an_unwritable_place_is_an_error(void **state) {
  (void)state;
  struct step *s = tiny_open("simclr", 1, 0, 0);
  struct metrics *m;
  assert_int_equal(metrics_open(&m, "no/such/folder/metrics.jsonl", 0, NULL), E_IO);
  assert_null(m);
  step_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_resumed_file_is_the_undisturbed_one),
                                     cmocka_unit_test(a_new_run_starts_an_empty_file),
                                     cmocka_unit_test(an_epochs_mean_is_over_its_own_lines),
                                     cmocka_unit_test(the_last_line_with_a_key_is_found),
                                     cmocka_unit_test(an_unwritable_place_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
