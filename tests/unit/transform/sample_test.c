#include <math.h>

#include "test.h"
#include "transform/policy.h"

enum { CROP, JITTER, GRAY, FLIP, BLUR }; /* operations of the stl10 preset */
enum { SIGMA = 8 };                      /* its values: eight of the jitter, the blur's */

static const struct extent square = {96, 96};

static struct policy *load(const char *name) {
  struct policy *p;
  if (policy_load(&p, name, 0) != OK) fail_msg("%s", fail_message());
  return p;
}

static struct policy *parse(const char *json) {
  struct policy *p;
  if (policy_parse(&p, json) != OK) fail_msg("%s", fail_message());
  return p;
}

static void draws_depend_on_nothing_but_their_place(void **state) {
  (void)state;
  struct policy *p = load("stl10");
  struct view_draw a[2], b[2], other[2];
  policy_sample(p, 7, 3, 10, square, square, a);
  policy_sample(p, 1, 9, 0, square, square, other);
  policy_sample(p, 7, 3, 10, square, square, b);
  assert_memory_equal(a, b, sizeof a);
  policy_sample(p, 7, 4, 10, square, square, b);
  assert_memory_not_equal(a, b, sizeof a);
  policy_sample(p, 8, 3, 10, square, square, b);
  assert_memory_not_equal(a, b, sizeof a);
  policy_sample(p, 7, 3, 12, square, square, b);
  assert_memory_not_equal(a, b, sizeof a);
  assert_memory_not_equal(&a[0], &a[1], sizeof *a);
  policy_close(&p);
}

static void pairs_share_pair_operations_and_nothing_else(void **state) {
  (void)state;
  struct policy *p = load("stl10");
  int flips = 0, blurs = 0, same_crops = 0;
  enum { PAIRS = 400 };
  struct rect last = {0};
  for (uint32_t i = 0; i < PAIRS; i++) {
    struct view_draw a[2], b[2];
    policy_sample(p, 7, 0, 2 * i, square, square, a);
    policy_sample(p, 7, 0, 2 * i + 1, square, square, b);
    for (int v = 0; v < 2; v++) {
      assert_memory_equal(&a[v].crop, &b[v].crop, sizeof a->crop);
      assert_int_equal(a[v].active[JITTER], b[v].active[JITTER]);
      assert_memory_equal(a[v].value, b[v].value, SIGMA * sizeof *a->value);
      assert_int_equal(a[v].active[GRAY], b[v].active[GRAY]);
    }
    flips += a[0].active[FLIP] == b[0].active[FLIP];
    blurs += a[0].value[SIGMA] == b[0].value[SIGMA];
    same_crops += memcmp(&a[0].crop, &last, sizeof last) == 0;
    last = a[0].crop;
  }
  assert_in_range(flips, PAIRS / 2 - 50, PAIRS / 2 + 50); /* five standard deviations */
  assert_int_equal(blurs, 0);
  assert_true(same_crops < 3);
  policy_close(&p);
}

static void probabilities_are_met(void **state) {
  (void)state;
  struct policy *p = load("stl10");
  static const double want[] = {1, .8, .2, .5, .5};
  enum { N = 20000 };
  int count[5] = {0};
  for (uint32_t i = 0; i < N; i++) {
    struct view_draw d[2];
    policy_sample(p, 11, 0, 2 * i, square, square, d);
    for (int o = 0; o < 5; o++) count[o] += d[0].active[o];
  }
  for (int o = 0; o < 5; o++) {
    double sd = sqrt(want[o] * (1 - want[o]) / N);
    assert_true(fabs((double)count[o] / N - want[o]) <= 5 * sd);
  }
  policy_close(&p);
}

struct moments {
  double n, sum, squares;
};

static void add(struct moments *m, double x) {
  m->n++;
  m->sum += x;
  m->squares += x * x;
}

static double mean(const struct moments *m) { return m->sum / m->n; }
static double sd(const struct moments *m) { return sqrt(m->squares / m->n - mean(m) * mean(m)); }

/* Methods section 8 (4). */
static void crops_have_the_known_statistics(void **state) {
  (void)state;
  struct policy *p = load("stl10");
  struct moments height = {0}, centre = {0};
  for (uint32_t i = 0; i < 100000; i++) {
    struct view_draw d[2];
    policy_sample(p, 5, i / 1000, 2 * (i % 1000), square, square, d);
    struct rect r = d[0].crop;
    assert_true(r.left >= 0 && r.top >= 0 && r.left + r.width <= 96 && r.top + r.height <= 96);
    double ratio = (double)r.width / r.height;
    assert_true(ratio > .72 && ratio < 1.39); /* 3/4 to 4/3, and rounding */
    add(&height, r.height / 96.0);
    add(&centre, (r.top + r.height / 2.0) / 96);
  }
  print_message("h/H mean %.4f sd %.4f, centre mean %.4f sd %.4f\n", mean(&height), sd(&height),
                mean(&centre), sd(&centre));
  assert_true(fabs(mean(&height) - .725) < .002);
  assert_true(fabs(sd(&height) - .1525) < .001);
  assert_true(fabs(mean(&centre) - .5) < .002);
  assert_true(fabs(sd(&centre) - .0933) < .001);
  policy_close(&p);
}

static void jitter_has_the_known_ranges_and_every_order(void **state) {
  (void)state;
  struct policy *p = load("stl10");
  int order[4][4] = {{0}};
  struct moments factor[4] = {{0}};
  enum { N = 24000 };
  for (uint32_t i = 0; i < N; i++) {
    struct view_draw d[2];
    policy_sample(p, 5, 0, 2 * i, square, square, d);
    const float *v = d[1].value;
    int seen = 0;
    for (int k = 0; k < 4; k++) {
      order[k][(int)v[k]]++;
      seen |= 1 << (int)v[k];
      add(&factor[k], (double)v[4 + k]);
      double centre = k == 3 ? 0 : 1, reach = k == 3 ? .1 : .4;
      assert_true(fabs((double)v[4 + k] - centre) <= reach + 1e-7);
    }
    assert_int_equal(seen, 15);
  }
  for (int k = 0; k < 4; k++) {
    double reach = k == 3 ? .1 : .4;
    assert_true(fabs(sd(&factor[k]) - reach / sqrt(3)) < .01 * reach);
    for (int j = 0; j < 4; j++) assert_in_range(order[k][j], N / 4 - 340, N / 4 + 340);
  }
  policy_close(&p);
}

/* Methods section 7 (7): scale, ratio and offsets are shared as fractions; each box is made for its own image
 * and fits it. */
static void pairs_of_different_size_share_relative_crops(void **state) {
  (void)state;
  struct policy *p = load("imagenet");
  const struct extent wide = {500, 333}, tall = {360, 480};
  int fell_back = 0;
  for (uint32_t i = 0; i < 2000; i++) {
    struct view_draw a[2], b[2];
    policy_sample(p, 7, 1, 2 * i, wide, tall, a);
    policy_sample(p, 7, 1, 2 * i + 1, tall, wide, b);
    struct rect x = a[0].crop, y = b[0].crop;
    assert_true(x.left >= 0 && x.top >= 0 && x.left + x.width <= 500 && x.top + x.height <= 333);
    assert_true(y.left >= 0 && y.top >= 0 && y.left + y.width <= 360 && y.top + y.height <= 480);
    if (x.height == 333 && y.width == 360) { /* the fallback, which each makes for itself */
      fell_back++;
      continue;
    }
    assert_true(fabs((double)x.width * x.height / (500 * 333) - (double)y.width * y.height / (360 * 480)) <
                .012);
    assert_true(fabs((double)x.width / x.height / ((double)y.width / y.height) - 1) < .025);
    if (x.width < 490 && y.width < 350) {
      double fx = (x.left + .5) / (500 - x.width + 1), fy = (y.left + .5) / (360 - y.width + 1);
      assert_true(fabs(fx - fy) <= .5 / (500 - x.width + 1) + .5 / (360 - y.width + 1) + 1e-9);
    }
  }
  assert_true(fell_back < 20);
  policy_close(&p);
}

static void image_group_crops_ignore_the_partner(void **state) {
  (void)state;
  struct policy *p = parse("{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"}]}]}");
  struct view_draw a, b;
  for (uint32_t i = 0; i < 100; i++) {
    policy_sample(p, 7, 0, i, square, square, &a);
    policy_sample(p, 7, 0, i, square, (struct extent){3, 500}, &b);
    assert_memory_equal(&a, &b, sizeof a);
  }
  policy_close(&p);
}

static void check_fallback(struct extent e, struct rect want) {
  struct policy *p = load("stl10");
  struct view_draw d[2];
  for (uint32_t i = 0; i < 20; i++) {
    policy_sample(p, 3, 0, i, e, e, d);
    struct rect r = d[0].crop;
    assert_true(r.width > 0 && r.height > 0 && r.left >= 0 && r.top >= 0);
    assert_true(r.left + r.width <= e.width && r.top + r.height <= e.height);
    assert_memory_equal(&r, &want, sizeof r);
  }
  policy_close(&p);
}

/* Images so narrow that no attempt can succeed (area .2 at ratio 3/4 is wider than the image). */
static void extreme_images_fall_back_to_a_centred_crop(void **state) {
  (void)state;
  check_fallback((struct extent){10, 1000}, (struct rect){0, 493, 10, 13});
  check_fallback((struct extent){1000, 10}, (struct rect){493, 0, 13, 10});
  check_fallback((struct extent){1, 1}, (struct rect){0, 0, 1, 1});
  check_fallback((struct extent){1, 50}, (struct rect){0, 24, 1, 1});
}

static void region_is_the_union_of_the_crops(void **state) {
  (void)state;
  struct policy *p = load("stl10");
  for (uint32_t i = 0; i < 200; i++) {
    struct view_draw d[2];
    policy_sample(p, 7, 0, i, (struct extent){200, 150}, (struct extent){100, 300}, d);
    struct rect all = policy_region(p, d), a = d[0].crop, b = d[1].crop;
    assert_int_equal(all.left, a.left < b.left ? a.left : b.left);
    assert_int_equal(all.top, a.top < b.top ? a.top : b.top);
    int right = a.left + a.width > b.left + b.width ? a.left + a.width : b.left + b.width;
    int bottom = a.top + a.height > b.top + b.height ? a.top + a.height : b.top + b.height;
    assert_int_equal(all.left + all.width, right);
    assert_int_equal(all.top + all.height, bottom);
  }
  policy_close(&p);
  p = load("evaluate");
  struct view_draw d;
  policy_sample(p, 7, 0, 0, (struct extent){1000, 96}, square, &d);
  assert_int_equal(d.crop.height, 96);
  assert_true(d.crop.width <= 96 + 4 && d.crop.left >= 450);
  policy_close(&p);
}

/* Only a policy that says so, only as far as the smaller crop allows, and without moving a draw. */
static void shrinking_leaves_every_crop_as_large_as_its_view(void **state) {
  (void)state;
#define VIEWS                                                                                                \
  "\"views\":[{\"size\":20,\"ops\":[{\"op\":\"random_resized_crop\"}]},{\"size\":30,\"ops\":[{\"op\":"       \
  "\"random_resized_crop\"}]}]"
  struct policy *plain = parse("{\"dct_scale\":false," VIEWS "}"),
                *p = parse("{\"dct_scale\":true," VIEWS "}");
  assert_null(strstr(policy_json(plain), "dct_scale"));
  assert_non_null(strstr(policy_json(p), "],\"dct_scale\":true}"));
  int seen[9] = {0};
  for (uint32_t i = 0; i < 400; i++) {
    struct view_draw a[2], b[2];
    const struct extent e = {400, 300};
    policy_sample(plain, 7, 0, i, e, e, a);
    policy_sample(p, 7, 0, i, e, e, b);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(policy_shrink(plain, a), 1);
    int32_t k = policy_shrink(p, b), room = INT32_MAX;
    for (int v = 0; v < 2; v++) {
      int32_t side = b[v].crop.width < b[v].crop.height ? b[v].crop.width : b[v].crop.height;
      room = side / policy_view_size(p, v) < room ? side / policy_view_size(p, v) : room;
    }
    assert_true(k <= room && (k == 8 || 2 * k > room));
    seen[k]++;
  }
  assert_true(seen[4] && seen[8]);
  policy_close(&plain);
  policy_close(&p);
}

/* A probability moves no other draw, and neither does what stands
 * before or after in the list's later places. */
static void probability_moves_nothing_else(void **state) {
  (void)state;
#define TWO(p)                                                                                               \
  "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"},{\"op\":\"gaussian_blur\",\"kernel\":"  \
  "3,\"p\":" p "}]}]}"
  struct policy *a = parse(TWO("1")), *b = parse(TWO("0.1"));
  for (uint32_t i = 0; i < 50; i++) {
    struct view_draw x, y;
    policy_sample(a, 7, 0, i, square, square, &x);
    policy_sample(b, 7, 0, i, square, square, &y);
    assert_true(x.value[0] == y.value[0]);
    assert_memory_equal(&x.crop, &y.crop, sizeof x.crop);
  }
  policy_close(&a);
  policy_close(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(draws_depend_on_nothing_but_their_place),
                                     cmocka_unit_test(pairs_share_pair_operations_and_nothing_else),
                                     cmocka_unit_test(probabilities_are_met),
                                     cmocka_unit_test(crops_have_the_known_statistics),
                                     cmocka_unit_test(jitter_has_the_known_ranges_and_every_order),
                                     cmocka_unit_test(pairs_of_different_size_share_relative_crops),
                                     cmocka_unit_test(image_group_crops_ignore_the_partner),
                                     cmocka_unit_test(extreme_images_fall_back_to_a_centred_crop),
                                     cmocka_unit_test(shrinking_leaves_every_crop_as_large_as_its_view),
                                     cmocka_unit_test(region_is_the_union_of_the_crops),
                                     cmocka_unit_test(probability_moves_nothing_else)};
  return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
