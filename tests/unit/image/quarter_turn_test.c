#include "image/quarter_turn.h"
#include "test.h"

static struct workspace work;

/* The picture whose red plane counts 0, 1, 2, ...; green and blue are other functions of it. */
static struct planes counting(int32_t width, int32_t height) {
  struct planes p;
  assert_int_equal(workspace_planes(&work, width, height, &p), OK);
  workspace_flip(&work);
  for (int i = 0; i < width * height; i++)
    for (int c = 0; c < 3; c++) p.plane[c][i] = (float)(i + 100 * c);
  return p;
}

static void check(const struct planes *p, int32_t width, int32_t height, const int *want) {
  assert_int_equal(p->width, width);
  assert_int_equal(p->height, height);
  for (int i = 0; i < width * height; i++)
    for (int c = 0; c < 3; c++) assert_true(p->plane[c][i] == (float)(want[i] + 100 * c));
}

/* Methods section 8 (6). */
static void known_turns(void **state) {
  (void)state;
  static const int want[4][4] = {{0, 1, 2, 3}, {1, 3, 0, 2}, {3, 2, 1, 0}, {2, 0, 3, 1}};
  for (int turns = 0; turns < 4; turns++) {
    struct planes in = counting(2, 2), out;
    assert_int_equal(quarter_turn(&work, &in, turns, &out), OK);
    check(&out, 2, 2, want[turns]);
  }
}

static void odd_turns_swap_width_and_height(void **state) {
  (void)state;
  static const int want[4][6] = {
      {0, 1, 2, 3, 4, 5}, {2, 5, 1, 4, 0, 3}, {5, 4, 3, 2, 1, 0}, {3, 0, 4, 1, 5, 2}};
  for (int turns = 0; turns < 4; turns++) {
    struct planes in = counting(3, 2), out;
    assert_int_equal(quarter_turn(&work, &in, turns, &out), OK);
    check(&out, turns % 2 ? 2 : 3, turns % 2 ? 3 : 2, want[turns]);
  }
}

static void four_turns_are_none(void **state) {
  (void)state;
  for (int turns = 1; turns < 4; turns += 2) {
    struct planes p = counting(5, 3), next;
    for (int i = 0; i < 4; i++, p = next) assert_int_equal(quarter_turn(&work, &p, turns, &next), OK);
    int want[15];
    for (int i = 0; i < 15; i++) want[i] = i;
    check(&p, 5, 3, want);
  }
}

static int clear(void **state) {
  (void)state;
  workspace_free(&work);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(known_turns),
                                     cmocka_unit_test(odd_turns_swap_width_and_height),
                                     cmocka_unit_test(four_turns_are_none)};
  return cmocka_run_group_tests_name("quarter turns", tests, NULL, clear);
}
