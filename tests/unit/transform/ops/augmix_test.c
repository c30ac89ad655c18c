#include <math.h>

#include "base/rng.h"
#include "image/augmix.h"
#include "image/isa.h"
#include "test.h"
#include "transform/policy.h"

/* Where AugMix's values lie in a view: the jitter has eight before it. */
enum { M = 8, CHAIN = 9, PER_CHAIN = 8, N_VALUES = 1 + 3 * PER_CHAIN, AUGMIX_AT = 3 };

static struct policy *load(const char *name, int32_t size) {
  struct policy *p;
  if (policy_load(&p, name, size) != OK) fail_msg("%s: %s", name, fail_message());
  return p;
}

static const struct extent square = {96, 96};

struct moments {
  double n, sum, squares;
};

static void add(struct moments *m, double x) {
  m->n++;
  m->sum += x;
  m->squares += x * x;
}

static double mean(const struct moments *m) { return m->sum / m->n; }
static double variance(const struct moments *m) { return m->squares / m->n - mean(m) * mean(m); }

/* Dirichlet(1,1,1): mean 1/3, variance 1/18; Beta(1,1): 1/2 and 1/12. */
static void weights_and_m_have_the_known_distributions(void **state) {
  (void)state;
  struct policy *p = load("stl10+augmix", 0);
  struct moments weight[3] = {{0}}, m = {0};
  enum { N = 40000 };
  for (uint32_t i = 0; i < N; i++) {
    struct view_draw d[2];
    policy_sample(p, 3, 0, 2 * i, square, square, d);
    double sum = 0;
    for (int k = 0; k < 3; k++) {
      double w = (double)d[0].value[CHAIN + k * PER_CHAIN];
      assert_true(w >= 0 && w <= 1);
      add(&weight[k], w);
      sum += w;
    }
    assert_true(fabs(sum - 1) < 2e-7);
    assert_true(d[1].value[M] >= 0 && d[1].value[M] <= 1);
    add(&m, (double)d[1].value[M]);
  }
  for (int k = 0; k < 3; k++) {
    assert_true(fabs(mean(&weight[k]) - 1 / 3.0) < .006);
    assert_true(fabs(variance(&weight[k]) - 1 / 18.0) < .002);
  }
  assert_true(fabs(mean(&m) - .5) < .008);
  assert_true(fabs(variance(&m) - 1 / 12.0) < .003);
  policy_close(&p);
}

/* Dirichlet(4,4): a component is Beta(4,4), variance 1/36; so is m. */
static void alpha_concentrates(void **state) {
  (void)state;
  struct policy *p;
  assert_int_equal(policy_parse(&p, "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"},"
                                    "{\"op\":\"augmix\",\"width\":2,\"alpha\":4}]}]}"),
                   OK);
  struct moments weight = {0}, m = {0};
  for (uint32_t i = 0; i < 20000; i++) {
    struct view_draw d;
    policy_sample(p, 3, 0, i, square, square, &d);
    add(&m, (double)d.value[0]);
    add(&weight, (double)d.value[1]);
    assert_true(fabs((double)d.value[1] + (double)d.value[1 + PER_CHAIN] - 1) < 2e-7);
  }
  assert_true(fabs(mean(&weight) - .5) < .007 && fabs(variance(&weight) - 1 / 36.0) < .002);
  assert_true(fabs(mean(&m) - .5) < .007 && fabs(variance(&m) - 1 / 36.0) < .002);
  policy_close(&p);
}

/* Of one drawn operation: what severity 3 at 96 pixels can give. */
static void check_magnitude(int kind, double x) {
  assert_false(x == 0 && signbit(x)); /* for readers: no "rotate=-0" */
  bool whole = x == (int)x;
  switch (kind) {
  case AUGMIX_POSTERIZE: assert_true(x == 3 || x == 4); break;
  case AUGMIX_SOLARIZE: assert_true(whole && x >= 256 - 76 && x <= 256 - 2); break;
  case AUGMIX_ROTATE: assert_true(whole && fabs(x) <= 8); break;
  case AUGMIX_SHEAR_X:
  case AUGMIX_SHEAR_Y: assert_true(fabs(x) >= .003 && fabs(x) <= .09); break;
  case AUGMIX_TRANSLATE_X:
  case AUGMIX_TRANSLATE_Y: assert_true(whole && fabs(x) <= 9); break;
  default: assert_true(x == 0);
  }
}

static void every_operation_depth_and_sign_is_as_likely(void **state) {
  (void)state;
  struct policy *p = load("stl10+augmix", 0);
  int depth[4] = {0}, kind[AUGMIX_KINDS] = {0}, negative = 0, sheared = 0;
  enum { N = 6000 };
  for (uint32_t i = 0; i < N; i++) {
    struct view_draw d[2];
    policy_sample(p, 4, 0, 2 * i, square, square, d);
    for (int k = 0; k < 3; k++) {
      const float *chain = d[0].value + CHAIN + k * PER_CHAIN;
      assert_in_range((int)chain[1], 1, 3);
      depth[(int)chain[1]]++;
      for (int o = 0; o < 3; o++) {
        int op = (int)chain[2 + 2 * o];
        double x = (double)chain[3 + 2 * o];
        assert_in_range(op, 0, AUGMIX_KINDS - 1);
        kind[op]++;
        check_magnitude(op, x);
        sheared += op == AUGMIX_SHEAR_X;
        negative += op == AUGMIX_SHEAR_X && x < 0;
      }
    }
  }
  for (int i = 1; i <= 3; i++) assert_in_range(depth[i], N - 320, N + 320); /* five standard deviations */
  for (int i = 0; i < AUGMIX_KINDS; i++) assert_in_range(kind[i], N - 365, N + 365);
  assert_true(abs(2 * negative - sheared) < 400);
  policy_close(&p);
}

static bool same_values(const float *a, const float *b) {
  for (int i = 0; i < N_VALUES; i++)
    if (a[i] != b[i]) return false;
  return true;
}

/* Placement: with aligned colours the pair shares every draw; otherwise no two images and views do. */
static void a_pair_shares_everything_or_nothing(void **state) {
  (void)state;
  static const char *const names[] = {"stl10+augmix", "stl10/none+augmix", "stl10/crop+augmix",
                                      "stl10/all+augmix", "stl10/color+augmix"};
  static const bool shared[] = {true, false, false, true, true};
  for (int n = 0; n < 5; n++) {
    struct policy *p = load(names[n], 0);
    for (uint32_t pair = 0; pair < 50; pair++) {
      struct view_draw a[2], b[2];
      policy_sample(p, 5, 0, 2 * pair, square, square, a);
      policy_sample(p, 5, 0, 2 * pair + 1, square, square, b);
      for (int v = 0; v < 2; v++) {
        assert_true(a[v].active[AUGMIX_AT] && b[v].active[AUGMIX_AT]);
        assert_int_equal(same_values(a[v].value + M, b[v].value + M), shared[n]);
      }
      assert_false(same_values(a[0].value + M, a[1].value + M));
    }
    policy_close(&p);
  }
}

static uint8_t *noise(struct extent e) {
  uint8_t *p = malloc(3 * (size_t)e.width * (size_t)e.height);
  struct rng r = rng_at(9, 0, 0, 0);
  for (int i = 0; i < 3 * e.width * e.height; i++) p[i] = (uint8_t)(rng_next(&r) >> 24);
  return p;
}

/* Both images of a pair, with the same pixels, come out the same, and not as without AugMix. */
static void aligned_pixels_are_equal_and_changed(void **state) {
  (void)state;
  struct policy *p = load("cifar+augmix", 0), *plain = load("cifar", 0);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  struct extent e = {32, 32};
  uint8_t *pixels = noise(e), out[3][3 * 32 * 32];
  float params[3][POLICY_MAX_PARAMS];
  struct source source = {pixels, {0, 0, 32, 32}, e};
  int changed = 0;
  for (uint32_t pair = 0; pair < 20; pair++) {
    struct view_draw d[3][2];
    for (uint32_t i = 0; i < 3; i++) {
      policy_sample(i < 2 ? p : plain, 3, 0, 2 * pair + i % 2, e, e, d[i]);
      d[i][1].active[i < 2 ? 4 : 3] = false; /* no flips */
      assert_int_equal(render_view(render, i < 2 ? p : plain, 1, &d[i][1], &source, out[i], params[i]), OK);
    }
    assert_memory_equal(out[0], out[1], sizeof *out);
    assert_memory_equal(params[0], params[1], policy_params(p, 1, NULL) * sizeof(float));
    assert_true(params[0][9] == d[0][1].value[M]);
    changed += memcmp(out[0], out[2], sizeof *out) != 0;
  }
  assert_true(changed >= 18);
  free(pixels);
  render_close(&render);
  policy_close(&p);
  policy_close(&plain);
}

static struct workspace work;

static struct planes picture(struct extent e) {
  struct planes p;
  uint8_t *pixels = noise(e);
  assert_int_equal(workspace_planes(&work, e.width, e.height, &p), OK);
  workspace_flip(&work);
  planes_from_rgb8(&p, pixels, 3 * (size_t)e.width);
  free(pixels);
  for (int i = 0; i < e.width * e.height; i++) p.plane[0][i] *= 0.99F; /* not whole grey levels */
  return p;
}

static const struct augmix busy = {
    1,
    3,
    {{0.25F, 3, {{AUGMIX_EQUALIZE, 0}, {AUGMIX_ROTATE, -7}, {AUGMIX_AUTOCONTRAST, 0}}},
     {0.5F, 2, {{AUGMIX_SHEAR_X, 0.07F}, {AUGMIX_TRANSLATE_Y, 5}}},
     {0.25F, 3, {{AUGMIX_SOLARIZE, 200}, {AUGMIX_POSTERIZE, 3}, {AUGMIX_SHEAR_Y, -0.05F}}}}};

static void m_is_the_share_of_the_mixture(void **state) {
  (void)state;
  struct extent e = {37, 21};
  static float before[37 * 21], full[37 * 21];
  struct planes p = picture(e);
  memcpy(before, p.plane[0], sizeof before);
  struct augmix mix = busy;
  mix.m = 0;
  assert_int_equal(augmix_apply(&work, &mix, &p), OK);
  assert_memory_equal(p.plane[0], before, sizeof before); /* unrounded */
  assert_int_equal(augmix_apply(&work, &busy, &p), OK);
  memcpy(full, p.plane[0], sizeof full);
  p = picture(e);
  mix.m = 0.25F;
  assert_int_equal(augmix_apply(&work, &mix, &p), OK);
  for (int i = 0; i < 37 * 21; i++)
    assert_float_equal((double)p.plane[0][i], .75 * (double)before[i] + .25 * (double)full[i], 1e-6);
  workspace_free(&work);
}

static void identities_round_once(void **state) {
  (void)state;
  struct augmix mix = {1, 1, {{1, 3, {{AUGMIX_ROTATE, 0}, {AUGMIX_POSTERIZE, 8}, {AUGMIX_TRANSLATE_X, 0}}}}};
  struct planes p = picture((struct extent){9, 4});
  float before[36];
  memcpy(before, p.plane[0], sizeof before);
  assert_int_equal(augmix_apply(&work, &mix, &p), OK);
  for (int i = 0; i < 36; i++)
    assert_float_equal((double)p.plane[0][i], round(255 * (double)before[i]) / 255, 1e-7);
  workspace_free(&work);
}

static void every_instruction_set_gives_the_same_bytes(void **state) {
  (void)state;
  static const struct extent sizes[] = {{1, 1}, {2, 7}, {65, 3}, {40, 37}, {3, 130}};
  static float want[3][65 * 37];
  for (int s = 0; s < 5; s++) {
    bool first = true;
    for (int set = 0; set < ISA_COUNT; set++) {
      if (!isa_usable((enum isa)set)) continue;
      assert_int_equal(isa_select(isa_names[set]), OK);
      struct planes p = picture(sizes[s]);
      struct augmix mix = busy;
      mix.m = 0.7F;
      assert_int_equal(augmix_apply(&work, &mix, &p), OK);
      size_t bytes = (size_t)p.width * (size_t)p.height * sizeof(float);
      for (int c = 0; c < 3; c++) {
        if (first) memcpy(want[c], p.plane[c], bytes);
        assert_memory_equal(want[c], p.plane[c], bytes);
      }
      first = false;
    }
  }
  assert_int_equal(isa_select("auto"), OK);
  workspace_free(&work);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(weights_and_m_have_the_known_distributions),
                                     cmocka_unit_test(alpha_concentrates),
                                     cmocka_unit_test(every_operation_depth_and_sign_is_as_likely),
                                     cmocka_unit_test(a_pair_shares_everything_or_nothing),
                                     cmocka_unit_test(aligned_pixels_are_equal_and_changed),
                                     cmocka_unit_test(m_is_the_share_of_the_mixture),
                                     cmocka_unit_test(identities_round_once),
                                     cmocka_unit_test(every_instruction_set_gives_the_same_bytes)};
  return cmocka_run_group_tests_name("AugMix", tests, NULL, NULL);
}
