#include <math.h>
#include <xxhash.h>

#include "base/rng.h"
#include "test.h"
#include "transform/op.h"

static struct policy *parse(const char *json) {
  struct policy *p;
  if (policy_parse(&p, json) != OK) fail_msg("%s", fail_message());
  return p;
}

static struct policy *load(const char *name, int32_t size) {
  struct policy *p;
  if (policy_load(&p, name, size) != OK) fail_msg("%s", fail_message());
  return p;
}

/* Slopes, edges and noise, from integers alone. */
static uint8_t *picture(struct extent e, uint32_t kind) {
  uint8_t *p = malloc(3 * (size_t)e.width * (size_t)e.height), *at = p;
  struct rng r = rng_at(kind, 0, 0, 0);
  for (int32_t y = 0; y < e.height; y++) {
    for (int32_t x = 0; x < e.width; x++, at += 3) {
      at[0] = (uint8_t)(x * 3 + y);
      at[1] = (uint8_t)((x / 9 + y / 7) % 2 ? 200 - y : 30 + x);
      at[2] = (uint8_t)(rng_next(&r) >> 24);
    }
  }
  return p;
}

static uint8_t *cut(const uint8_t *pixels, struct extent e, struct rect part) {
  uint8_t *p = malloc(3 * (size_t)part.width * (size_t)part.height);
  for (int32_t y = 0; y < part.height; y++)
    memcpy(p + 3 * (size_t)y * (size_t)part.width,
           pixels + 3 * ((size_t)(part.top + y) * (size_t)e.width + (size_t)part.left),
           3 * (size_t)part.width);
  return p;
}

static const char *const presets[] = {"stl10", "cifar", "imagenet", "evaluate", "imagenet/none+augmix+essl"};
enum { N_PRESETS = sizeof presets / sizeof *presets };

/* Every view and label of one image, from `region` of it, appended to a hash. */
static void render_all(struct render *render, const struct policy *p, const struct view_draw *draws,
                       const struct source *source, XXH3_state_t *hash) {
  static uint8_t out[3 * 224 * 224];
  float params[POLICY_MAX_PARAMS];
  for (int v = 0; v < policy_views(p); v++) {
    int32_t size = policy_view_size(p, v);
    if (render_view(render, p, v, &draws[v], source, out, params) != OK) fail_msg("%s", fail_message());
    XXH3_64bits_update(hash, out, 3 * (size_t)size * (size_t)size);
    XXH3_64bits_update(hash, params, policy_params(p, v, NULL) * sizeof *params);
  }
}

static uint64_t digest(const char *preset, int32_t size, struct extent e, struct extent partner, int n,
                       bool full) {
  struct policy *p = load(preset, size);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  uint8_t *pixels = picture(e, 1);
  XXH3_state_t *hash = XXH3_createState();
  XXH3_64bits_reset(hash);
  for (uint32_t i = 0; i < (uint32_t)n; i++) {
    struct view_draw draws[POLICY_MAX_VIEWS];
    policy_sample(p, 42, 1, i, e, partner, draws);
    struct rect whole = {0, 0, e.width, e.height}, region = full ? whole : policy_region(p, draws);
    uint8_t *part = cut(pixels, e, region);
    struct source source = {part, region, e};
    render_all(render, p, draws, &source, hash);
    free(part);
  }
  uint64_t result = XXH3_64bits_digest(hash);
  XXH3_freeState(hash);
  free(pixels);
  render_close(&render);
  assert_null(render);
  policy_close(&p);
  return result;
}

/* Committed numbers: the same on every machine, compiler setting and instruction set, today and later. If a
 * change of the arithmetic is meant, the numbers change with it, and no earlier run can be repeated to the
 * bit. */
static void views_are_the_same_bytes_everywhere(void **state) {
  (void)state;
  static const struct {
    const char *preset;
    struct extent image, partner;
    int n;
    uint64_t want;
  } golden[] = {{"stl10", {96, 96}, {96, 96}, 24, 0x31badf53750c9ead},
                {"cifar", {32, 32}, {32, 32}, 24, 0x452dc23d9d9aeac4},
                {"imagenet", {300, 201}, {187, 250}, 8, 0x2e880414347d0c0e},
                {"stl10/crop+augmix", {96, 96}, {96, 96}, 24, 0x129f1ab7d45540e3},
                {"imagenet/all+augmix+essl", {300, 201}, {187, 250}, 8, 0x65de1c30e3eb9926},
                {"evaluate", {300, 201}, {300, 201}, 1, 0x6b2f0893f5df0b1a},
                {"evaluate", {50, 131}, {300, 201}, 1, 0x3651905689592a44}};
  bool same = true;
  for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
    uint64_t got = digest(golden[i].preset, 0, golden[i].image, golden[i].partner, golden[i].n, true);
    if (got != golden[i].want)
      print_error("%s %zu: 0x%016llx\n", golden[i].preset, i, (unsigned long long)got);
    same &= got == golden[i].want;
  }
  assert_true(same);
}

static void a_region_gives_the_same_bytes_as_the_image(void **state) {
  (void)state;
  static const struct extent sizes[] = {{96, 96}, {131, 67}, {40, 200}, {5, 9}, {1, 1}, {400, 12}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int i = 0; i < N_PRESETS; i++)
      for (int32_t size = 1; size < 70; size = 3 * size + 2)
        assert_true(digest(presets[i], size, sizes[s], sizes[s], 6, true) ==
                    digest(presets[i], size, sizes[s], sizes[s], 6, false));
}

static void a_region_that_is_too_small_is_refused(void **state) {
  (void)state;
  struct policy *p = load("stl10", 16);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  struct extent e = {50, 40};
  uint8_t *pixels = picture(e, 1), out[3 * 16 * 16];
  float params[POLICY_MAX_PARAMS];
  struct view_draw draws[2];
  policy_sample(p, 42, 1, 0, e, e, draws);
  struct rect c = draws[0].crop;
  struct rect less[] = {{c.left + 1, c.top, c.width - 1, c.height},
                        {c.left, c.top + 1, c.width, c.height - 1},
                        {c.left, c.top, c.width - 1, c.height},
                        {c.left, c.top, c.width, c.height - 1}};
  for (int i = 0; i < 4; i++) {
    struct source source = {pixels, less[i], e};
    assert_int_equal(render_view(render, p, 0, &draws[0], &source, out, params), E_ARG);
    assert_non_null(strstr(fail_message(), "random_resized_crop"));
  }
  struct source source = {pixels, {0, 0, 50, 40}, e};
  draws[0].crop = (struct rect){0};
  assert_int_equal(render_view(render, p, 0, &draws[0], &source, out, params), E_ARG);
  free(pixels);
  render_close(&render);
  policy_close(&p);
}

#define RENDER_OPS(ops)                                                                                      \
  "{\"views\":[{\"size\":12,\"ops\":[{\"op\":\"random_resized_crop\",\"scale\":1,\"ratio\":1}" ops "]}]}"

/* Renders a 12 x 12 picture whole, under further operations. */
static void render_small(const char *json, uint32_t position, uint8_t *out, float *params) {
  struct policy *p = parse(json);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  struct extent e = {12, 12};
  uint8_t *pixels = picture(e, 1);
  struct view_draw draw;
  policy_sample(p, 1, 0, position, e, e, &draw);
  struct source source = {pixels, {0, 0, 12, 12}, e};
  assert_int_equal(render_view(render, p, 0, &draw, &source, out, params), OK);
  free(pixels);
  render_close(&render);
  policy_close(&p);
}

static void an_untouched_image_comes_back_as_it_was(void **state) {
  (void)state;
  uint8_t out[3 * 144], *want = picture((struct extent){12, 12}, 1);
  float params[POLICY_MAX_PARAMS];
  render_small(RENDER_OPS(",{\"op\":\"hflip\",\"p\":0},{\"op\":\"grayscale\",\"p\":0}"), 0, out, params);
  assert_memory_equal(out, want, sizeof out);
  assert_true(params[0] == .5F && params[1] == .5F && params[2] == 1 && params[3] == 1);
  assert_true(params[4] == 0 && params[5] == 0);
  render_small(RENDER_OPS(",{\"op\":\"hflip\"},{\"op\":\"hflip\"}"), 0, out, params);
  assert_memory_equal(out, want, sizeof out);
  assert_true(params[4] == 1 && params[5] == 1);
  render_small(
      RENDER_OPS(",{\"op\":\"color_jitter\",\"brightness\":0,\"contrast\":0,\"saturation\":0,\"hue\":0}"), 0,
      out, params);
  assert_memory_equal(out, want, sizeof out);
  for (int i = 4; i < 8; i++) assert_true(params[i] == 0);
  free(want);
}

static void skipped_operations_report_zeros(void **state) {
  (void)state;
  int skipped = 0, applied = 0;
  for (uint32_t i = 0; i < 40; i++) {
    uint8_t out[3 * 144];
    float params[POLICY_MAX_PARAMS];
    render_small(
        RENDER_OPS(",{\"op\":\"color_jitter\",\"p\":0.5},{\"op\":\"gaussian_blur\",\"kernel\":3,\"p\":0.5}"),
        i, out, params);
    bool zeros = params[4] == 0 && params[5] == 0 && params[6] == 0 && params[7] == 0;
    skipped += zeros;
    applied += params[4] != 0 && params[5] != 0 && params[6] != 0 && params[7] != 0;
    assert_true(params[8] == 0 || (params[8] >= .1F && params[8] <= 2.0F));
  }
  assert_int_equal(skipped + applied, 40);
  assert_in_range(skipped, 6, 34);
}

/* What a pair shares, both get: a partner with the same pixels comes out the same but for flips. */
static void a_pair_is_aligned(void **state) {
  (void)state;
  struct policy *p = load("cifar", 32);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  struct extent e = {32, 32};
  uint8_t *pixels = picture(e, 1), out[2][3 * 32 * 32];
  struct source source = {pixels, {0, 0, 32, 32}, e};
  int equal = 0;
  for (uint32_t pair = 0; pair < 20; pair++) {
    float params[2][POLICY_MAX_PARAMS];
    for (uint32_t i = 0; i < 2; i++) {
      struct view_draw draws[2];
      policy_sample(p, 3, 0, 2 * pair + i, e, e, draws);
      assert_int_equal(render_view(render, p, 1, &draws[1], &source, out[i], params[i]), OK);
    }
    assert_memory_equal(params[0], params[1], 9 * sizeof(float)); /* crop, colour, gray; then flip */
    if (params[0][9] != params[1][9]) continue;
    assert_memory_equal(out[0], out[1], sizeof *out);
    equal++;
  }
  assert_in_range(equal, 3, 17);
  free(pixels);
  render_close(&render);
  policy_close(&p);
}

/* Methods section 8 (5): labels of crops (i,j,h,w) = (0,0,48,48) and (24,48,72,48) of a 96-pixel image,
 * differences
 * (-.375, -.5, -.25, 0); brightness 1.2 against 1.0 is .25. */
static void labels_are_the_known_ones(void **state) {
  (void)state;
  struct policy *p = load("stl10", 8);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  struct extent e = {96, 96};
  uint8_t *pixels = picture(e, 1), out[3 * 64];
  struct source source = {pixels, {0, 0, 96, 96}, e};
  struct view_draw draws[2];
  policy_sample(p, 1, 0, 0, e, e, draws);
  draws[0].crop = (struct rect){0, 0, 48, 48};
  draws[1].crop = (struct rect){48, 24, 48, 72};
  static const float brightness[2] = {1.2F, 1.0F};
  float params[2][POLICY_MAX_PARAMS];
  for (int v = 0; v < 2; v++) {
    static const float order[4] = {0, 1, 2, 3};
    draws[v].active[1] = true;
    memcpy(draws[v].value, order, sizeof order); /* the jitter's are the first: a crop has none */
    draws[v].value[4] = brightness[v];
    assert_int_equal(render_view(render, p, v, &draws[v], &source, out, params[v]), OK);
  }
  static const double want[4] = {-.375, -.5, -.25, 0};
  for (int i = 0; i < 4; i++) assert_true((double)params[0][i] - (double)params[1][i] == want[i]);
  assert_float_equal((double)params[0][4] - (double)params[1][4], .25, 1e-6);
  free(pixels);
  render_close(&render);
  policy_close(&p);
}

/* Methods section 1: what predicting zero costs, for differences of the two views' labels. */
static void zero_predictor_errors_are_the_known_ones(void **state) {
  (void)state;
  struct policy *p = load("stl10", 1);
  struct render *render;
  assert_int_equal(render_open(&render), OK);
  struct extent e = {96, 96};
  uint8_t *pixels = picture(e, 1), out[3];
  struct source source = {pixels, {0, 0, 96, 96}, e};
  enum { N = 4000 };
  double crop = 0, color = 0;
  for (uint32_t i = 0; i < N; i++) {
    struct view_draw draws[2];
    float q[2][POLICY_MAX_PARAMS];
    policy_sample(p, 9, 0, 2 * i, e, e, draws);
    for (int v = 0; v < 2; v++) {
      draws[v].active[4] = false; /* the blur's cost, of which this knows nothing */
      assert_int_equal(render_view(render, p, v, &draws[v], &source, out, q[v]), OK);
    }
    if (q[0][9] != 0) {
      q[0][1] = 1 - q[0][1];
      q[1][1] = 1 - q[1][1];
    }
    for (int k = 0; k < 8; k++) {
      double d = (double)q[0][k] - (double)q[1][k];
      *(k < 4 ? &crop : &color) += d * d / (4 * N);
    }
  }
  print_message("crop %.4f, colour %.4f, mean %.4f\n", crop, color, (crop + color) / 2);
  assert_true(fabs(crop - .0319) < .0015);
  assert_true(fabs(color - .1334) < .004);
  assert_true(fabs((crop + color) / 2 - .083) < .0025);
  free(pixels);
  render_close(&render);
  policy_close(&p);
}

/* A view with every operation that a policy can have, its required parameters at small values. */
static struct policy *with_everything(const char *opening, int32_t size) {
  char text[8192], *at = text;
  at += sprintf(at, "{\"views\":[{\"size\":%d,\"ops\":[{\"op\":\"%s\"}", size, opening);
  for (const struct transform_op *const *op = transform_op_registry; *op; op++) {
    if (!((*op)->where & OP_IN_POLICY) || (*op)->opens) continue;
    at += sprintf(at, ",{\"op\":\"%s\"", (*op)->name);
    for (const struct op_param *p = (*op)->params; p && p->name; p++)
      if (p->required && p->kind != PARAM_SIZE) at += sprintf(at, ",\"%s\":3", p->name);
    at += sprintf(at, "}");
  }
  sprintf(at, "]}]}");
  return parse(text);
}

static void every_operation_renders_images_of_every_shape(void **state) {
  (void)state;
  static const struct extent sizes[] = {{1, 1}, {3, 500}, {500, 3}, {40, 33}};
  static const char *const openings[] = {"random_resized_crop", "resize_short_center_crop"};
  static uint8_t out[3 * 50 * 50];
  float params[POLICY_MAX_PARAMS];
  for (int s = 0; s < 4; s++)
    for (int i = 0; i < 6; i++) {
      int32_t size = i < 2 ? 1 : i < 4 ? 33 : 50;
      struct policy *p = with_everything(openings[i % 2], size);
      struct render *render;
      assert_int_equal(render_open(&render), OK);
      uint8_t *pixels = picture(sizes[s], 1);
      size_t n = 3 * (size_t)sizes[s].width * (size_t)sizes[s].height;
      for (size_t k = 0; s % 2 && k < n; k++) pixels[k] = pixels[k - k % 3]; /* grey */
      struct source source = {pixels, {0, 0, sizes[s].width, sizes[s].height}, sizes[s]};
      for (uint32_t position = 0; position < 20; position++) {
        struct view_draw draw;
        policy_sample(p, 1, 0, position, sizes[s], sizes[s], &draw);
        if (render_view(render, p, 0, &draw, &source, out, params) != OK) fail_msg("%s", fail_message());
        for (size_t k = 0; k < policy_params(p, 0, NULL); k++) assert_true(isfinite(params[k]));
      }
      free(pixels);
      render_close(&render);
      policy_close(&p);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(views_are_the_same_bytes_everywhere),
                                     cmocka_unit_test(a_region_gives_the_same_bytes_as_the_image),
                                     cmocka_unit_test(a_region_that_is_too_small_is_refused),
                                     cmocka_unit_test(an_untouched_image_comes_back_as_it_was),
                                     cmocka_unit_test(skipped_operations_report_zeros),
                                     cmocka_unit_test(a_pair_is_aligned),
                                     cmocka_unit_test(labels_are_the_known_ones),
                                     cmocka_unit_test(zero_predictor_errors_are_the_known_ones),
                                     cmocka_unit_test(every_operation_renders_images_of_every_shape)};
  return cmocka_run_group_tests_name("rendering", tests, NULL, NULL);
}
