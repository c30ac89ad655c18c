#include <jansson.h>

#include "base/file.h"
#include "test.h"
#include "transform/policy.h"

static const char *const presets[] = {"stl10", "cifar", "imagenet", "evaluate"};
enum { N_PRESETS = 4 };

static struct policy *load(const char *name, int32_t size) {
  struct policy *p;
  if (policy_load(&p, name, size) != OK) fail_msg("%s: %s", name, fail_message());
  return p;
}

static void presets_have_their_sizes_and_views(void **state) {
  (void)state;
  static const int32_t sizes[] = {96, 32, 224, 96};
  static const int views[] = {2, 2, 2, 1};
  for (int i = 0; i < N_PRESETS; i++) {
    struct policy *p = load(presets[i], 0), *q = load(presets[i], 50);
    assert_int_equal(policy_views(p), views[i]);
    for (int v = 0; v < views[i]; v++) {
      assert_int_equal(policy_view_size(p, v), sizes[i]);
      assert_int_equal(policy_view_size(q, v), 50);
    }
    policy_close(&p);
    policy_close(&q);
    assert_null(p);
  }
}

static void canonical_text_is_a_fixed_point(void **state) {
  (void)state;
  for (int i = 0; i < N_PRESETS; i++) {
    struct policy *p = load(presets[i], 0), *q;
    assert_int_equal(policy_parse(&q, policy_json(p)), OK);
    assert_string_equal(policy_json(p), policy_json(q));
    policy_close(&p);
    policy_close(&q);
  }
}

/* What a ticket carries and a ledger hashes: changing it makes every earlier run incomparable. */
static void canonical_text_is_stable(void **state) {
  (void)state;
  struct policy *p = load("stl10", 0);
  static const char view[] =
      "{\"size\":96,\"ops\":["
      "{\"op\":\"random_resized_crop\",\"group\":\"pair\",\"scale\":[0.2,1],\"ratio\":[0.75,1."
      "3333333333333333]},"
      "{\"op\":\"color_jitter\",\"group\":\"pair\",\"p\":0.8,\"brightness\":0.4,\"contrast\":0.4,"
      "\"saturation\":0.4,"
      "\"hue\":0.1},"
      "{\"op\":\"grayscale\",\"group\":\"pair\",\"p\":0.2},{\"op\":\"hflip\",\"group\":\"image\",\"p\":0.5},"
      "{\"op\":\"gaussian_blur\",\"group\":\"image\",\"p\":0.5,\"kernel\":9,\"sigma\":[0.1,2]}]}";
  char want[2 * sizeof view + 32];
  snprintf(want, sizeof want, "{\"views\":[%s,%s]}", view, view);
  assert_string_equal(policy_json(p), want);
  policy_close(&p);
  p = load("evaluate", 32);
  assert_string_equal(policy_json(p),
                      "{\"views\":[{\"size\":32,\"ops\":[{\"op\":\"resize_short_center_crop\","
                      "\"group\":\"image\",\"filter\":\"bicubic\"}]}]}");
  policy_close(&p);
}

static void equal_policies_have_equal_text(void **state) {
  (void)state;
  struct policy *a, *b;
  assert_int_equal(policy_parse(&a,
                                "{\"views\":[{\"ops\":[{\"ratio\":[1,1],\"op\":\"random_resized_crop\"},"
                                "{\"kernel\":3.0,\"op\":\"gaussian_blur\",\"sigma\":0.30}],\"size\":8}]}"),
                   OK);
  assert_int_equal(
      policy_parse(&b, " { \"views\" : [{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\",\"ratio\":1,"
                       "\"scale\":[2e-1,1.0],\"group\":\"image\"},{\"op\":\"gaussian_blur\",\"p\":1,"
                       "\"kernel\":3,\"sigma\":[0.3,3e-1]}]}]}"),
      OK);
  assert_string_equal(policy_json(a), policy_json(b));
  policy_close(&a);
  policy_close(&b);
}

static void parameters_are_named_in_order(void **state) {
  (void)state;
  struct policy *p = load("stl10", 0);
  static const char *const want[] = {
      "crop.cy",          "crop.cx",   "crop.h", "crop.w", "color.brightness", "color.contrast",
      "color.saturation", "color.hue", "gray",   "flip",   "blur.sigma"};
  const char *const *names;
  assert_int_equal(policy_params(p, 1, &names), 11);
  for (int i = 0; i < 11; i++) assert_string_equal(names[i], want[i]);
  policy_close(&p);
  assert_int_equal(
      policy_parse(&p, "{\"views\":[{\"size\":4,\"ops\":[{\"op\":\"random_resized_crop\"},{\"op\":\"hflip\"},"
                       "{\"op\":\"hflip\"}]}]}"),
      OK);
  assert_int_equal(policy_params(p, 0, &names), 6);
  assert_string_equal(names[4], "flip");
  assert_string_equal(names[5], "flip@2");
  policy_close(&p);
  p = load("evaluate", 0);
  assert_int_equal(policy_params(p, 0, NULL), 0);
  policy_close(&p);
}

/* One bad policy per row, and what the message must name. */
static void mistakes_are_named_with_their_place(void **state) {
  (void)state;
#define VIEW(ops) "{\"views\":[{\"size\":8,\"ops\":[" ops "]}]}"
#define CROP      "{\"op\":\"random_resized_crop\"}"
  static const struct {
    const char *json, *names;
  } bad[] = {
      {"", "line 1"},
      {"{\"views\":\n[}", "line 2"},
      {"[]", "views must be a list"},
      {"3", "not JSON"},
      {"{}", "views must be a list"},
      {"{\"views\":[]}", "1 to 8"},
      {"{\"views\":[1]}", "views[0]: must be an object"},
      {"{\"views\":[{}],\"extra\":1}", "'extra'; its keys are views, dct_scale"},
      {"{\"views\":[],\"dct_scale\":1}", "dct_scale must be true or false"},
      {"{\"dct_scale\":true,\"views\":[{\"size\":8,\"ops\":[{\"op\":\"resize_short_center_crop\"}]}]}",
       "dct_scale is for views that begin with random_resized_crop, and views[0] does not"},
      {"{\"views\":[{}],\"views\":[{}]}", "duplicate"},
      {"{\"views\":[{\"ops\":[" CROP "]}]}", "views[0]: size"},
      {"{\"views\":[{\"size\":0,\"ops\":[" CROP "]}]}", "size"},
      {"{\"views\":[{\"size\":8.5,\"ops\":[" CROP "]}]}", "size"},
      {"{\"views\":[{\"size\":4097,\"ops\":[" CROP "]}]}", "4096"},
      {"{\"views\":[{\"size\":8,\"ops\":[" CROP "],\"colour\":1}]}", "'colour'; its keys are size, ops"},
      {VIEW(""), "1 to 32"},
      {VIEW("7"), "ops[0]"},
      {VIEW("{\"op\":\"hflip\"}"), "random_resized_crop or resize_short_center_crop"},
      {VIEW(CROP "," CROP), "ops[1]: random_resized_crop makes a view"},
      {VIEW(CROP ",{\"op\":\"colour_jitter\"}"), "one of augmix, autocontrast, color_jitter"},
      {VIEW(CROP ",{\"op\":\"brightness\",\"factor\":1}"), "no operation 'brightness'"},
      {VIEW(CROP ",{\"op\":\"color_jitter\",\"hues\":0.1}"), "its keys are op, group, p, brightness"},
      {VIEW(CROP ",{\"op\":\"color_jitter\",\"hue\":0.6}"), "ops[1]: hue: must lie between 0 and 0.5"},
      {VIEW(CROP ",{\"op\":\"color_jitter\",\"hue\":\"a\"}"), "must be a number"},
      {VIEW(CROP ",{\"op\":\"color_jitter\",\"hue\":[0,0.1]}"), "must be a number"},
      {VIEW(CROP ",{\"op\":\"hflip\",\"p\":1.5}"), "probability"},
      {VIEW(CROP ",{\"op\":\"hflip\",\"p\":\"x\"}"), "probability"},
      {VIEW(CROP ",{\"op\":\"hflip\",\"group\":\"all\"}"), "\"pair\" or \"image\""},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\"}"), "needs 'kernel'"},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\",\"kernel\":4}"), "odd"},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\",\"kernel\":3.5}"), "whole"},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\",\"kernel\":257}"), "255"},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\",\"kernel\":3,\"sigma\":[2,1]}"), "greater"},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\",\"kernel\":3,\"sigma\":[0,1]}"), "sigma: must lie between 0.01"},
      {VIEW(CROP ",{\"op\":\"gaussian_blur\",\"kernel\":3,\"sigma\":[1,2,3]}"), "[low, high]"},
      {VIEW(CROP ",{\"op\":\"solarize\",\"threshold\":[0.5,128]}"), "ops[1]: threshold must be a range"},
      {VIEW(CROP ",{\"op\":\"rotate90\",\"turns\":[0,1.5]}"), "whole"},
      {VIEW(CROP ",{\"op\":\"translate_x\"}"), "needs 'pixels'"},
      {VIEW(CROP ",{\"op\":\"posterize\",\"bits\":[1,4]}"), "must be a number"},
      {VIEW(CROP ",{\"op\":\"augmix\",\"width\":5}"), "between 1 and 4"},
      {VIEW(CROP ",{\"op\":\"augmix\",\"alpha\":0.5}"), "alpha"},
      {VIEW("{\"op\":\"random_resized_crop\",\"p\":0.5}"), "no key 'p'"},
      {VIEW("{\"op\":\"random_resized_crop\",\"size\":4}"), "no key 'size'"},
      {VIEW("{\"op\":\"random_resized_crop\",\"scale\":[0.2,1.1]}"), "scale"},
      {VIEW("{\"op\":\"resize_short_center_crop\",\"filter\":\"lanczos\"}"), "bilinear|bicubic"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct policy *p = (struct policy *)&p;
    if (policy_parse(&p, bad[i].json) != E_ARG) fail_msg("accepted, or another code: %s", bad[i].json);
    assert_null(p);
    if (!strstr(fail_message(), bad[i].names))
      fail_msg("%s: '%s' does not name %s", bad[i].json, fail_message(), bad[i].names);
    assert_memory_equal(fail_message(), "policy", 6);
  }
}

static void limits_hold(void **state) {
  (void)state;
  struct policy *p;
  char *text = malloc(POLICY_MAX_JSON + 2);
  memset(text, ' ', POLICY_MAX_JSON + 1);
  text[POLICY_MAX_JSON + 1] = 0;
  assert_int_equal(policy_parse(&p, text), E_ARG);
  assert_non_null(strstr(fail_message(), "longer"));
  char *at = text + sprintf(text, "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"}");
  for (int i = 0; i < 32; i++) at += sprintf(at, ",{\"op\":\"hflip\"}");
  memcpy(at, "]}]}", 5);
  assert_int_equal(policy_parse(&p, text), E_ARG);
  assert_non_null(strstr(fail_message(), "1 to 32"));
  at = text + sprintf(text, "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"}");
  for (int i = 0; i < 15; i++) at += sprintf(at, ",{\"op\":\"color_jitter\"}");
  memcpy(at, "]}]}", 5);
  assert_int_equal(policy_parse(&p, text), OK); /* 15 x 8 values of at most 128, 4 + 15 x 4 parameters */
  assert_int_equal(policy_params(p, 0, NULL), POLICY_MAX_PARAMS);
  policy_close(&p);
  at = text + sprintf(text, "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"}");
  for (int i = 0; i < 4; i++) at += sprintf(at, ",{\"op\":\"augmix\"}");
  memcpy(at, "]}]}", 5);
  assert_int_equal(policy_parse(&p, text), E_ARG);
  assert_non_null(strstr(fail_message(), "draw more than 128 values"));
  free(text);
}

static void files_load_and_say_their_name_when_bad(void **state) {
  (void)state;
  static const char same[] = "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"}]}]}";
  static const char mixed[] = "{\"views\":[{\"size\":8,\"ops\":[{\"op\":\"random_resized_crop\"}]},"
                              "{\"size\":9,\"ops\":[{\"op\":\"random_resized_crop\"}]}]}";
  struct policy *p;
  assert_int_equal(file_write("same.json", same, sizeof same - 1), OK);
  assert_int_equal(file_write("mixed.json", mixed, sizeof mixed - 1), OK);
  assert_int_equal(file_write("zero.json", same, sizeof same), OK);
  p = load("same.json", 0);
  assert_int_equal(policy_view_size(p, 0), 8);
  policy_close(&p);
  p = load("same.json", 20);
  assert_int_equal(policy_view_size(p, 0), 20);
  policy_close(&p);
  p = load("mixed.json", 0);
  assert_int_equal(policy_view_size(p, 1), 9);
  policy_close(&p);
  static const char *const bad[] = {"mixed.json", "zero.json"};
  for (int i = 0; i < 2; i++) {
    assert_int_equal(policy_load(&p, bad[i], 20), E_ARG);
    assert_null(p);
    assert_non_null(strstr(fail_message(), bad[i]));
  }
  assert_int_equal(policy_load(&p, "absent.json", 0), E_IO);
  assert_int_equal(policy_load(&p, "stl10", 5000), E_ARG);
  assert_int_equal(policy_load(&p, "stl10", -1), E_ARG);
}

/* The views of a named policy as "size op:group op:group ...", joined by '|', groups as 'p' and 'i'. */
static void outline(const char *name, int32_t size, char *out) {
  struct policy *p = load(name, size);
  json_t *root = json_loads(policy_json(p), 0, NULL), *view, *op;
  size_t v, i;
  int n = 0;
  json_array_foreach(json_object_get(root, "views"), v, view) {
    n += sprintf(out + n, "%s%d", v ? "|" : "", policy_view_size(p, (int)v));
    json_array_foreach(json_object_get(view, "ops"), i, op) {
      const char *group = json_string_value(json_object_get(op, "group"));
      n += sprintf(out + n, " %.4s:%c", json_string_value(json_object_get(op, "op")), group[0]);
    }
  }
  json_decref(root);
  policy_close(&p);
}

/* Table 8 of the paper: what the two images of a pair share. */
static void names_say_what_a_pair_shares(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int32_t size;
    const char *views;
  } want[] = {
      {"cifar", 0, "32 rand:p colo:p gray:p hfli:i|32 rand:p colo:p gray:p hfli:i"},
      {"cifar/crop+color", 0, "32 rand:p colo:p gray:p hfli:i|32 rand:p colo:p gray:p hfli:i"},
      {"cifar/crop", 0, "32 rand:p colo:i gray:i hfli:i|32 rand:p colo:i gray:i hfli:i"},
      {"stl10/color", 8, "8 rand:i colo:p gray:p hfli:i gaus:i|8 rand:i colo:p gray:p hfli:i gaus:i"},
      {"stl10/all", 0, "96 rand:p colo:p gray:p hfli:p gaus:p|96 rand:p colo:p gray:p hfli:p gaus:p"},
      {"cifar/none", 0, "32 rand:i colo:i gray:i hfli:i|32 rand:i colo:i gray:i hfli:i"},
      {"cifar+essl", 0,
       "32 rand:p colo:p gray:p hfli:i|32 rand:p colo:p gray:p hfli:i|16 rand:i hfli:i colo:i gray:i"},
      {"cifar/all+augmix", 0, "32 rand:p colo:p gray:p augm:p hfli:p|32 rand:p colo:p gray:p augm:p hfli:p"},
      {"cifar/crop+augmix", 0, "32 rand:p colo:i gray:i augm:i hfli:i|32 rand:p colo:i gray:i augm:i hfli:i"},
      {"cifar/color+essl+augmix", 0,
       "32 rand:i colo:p gray:p augm:p hfli:i|32 rand:i colo:p gray:p augm:p hfli:i|16 rand:i hfli:i colo:i "
       "gray:i"},
      {"cifar/none+essl", 1,
       "1 rand:i colo:i gray:i hfli:i|1 rand:i colo:i gray:i hfli:i|1 rand:i hfli:i colo:i gray:i"},
  };
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    char got[1024];
    outline(want[i].name, want[i].size, got);
    if (strcmp(got, want[i].views) != 0) fail_msg("%s: %s", want[i].name, got);
  }
}

/* E-SSL's third view: half the side at 32 and 96 pixels, 96 of 224, there with a crop of 5 to 14 %. */
static void third_views_have_their_sizes(void **state) {
  (void)state;
  static const char *const names[] = {"stl10+essl", "cifar+essl", "imagenet+essl"};
  static const int32_t sizes[] = {48, 16, 96}, halved[] = {24, 24, 20};
  for (int i = 0; i < 3; i++) {
    struct policy *p = load(names[i], 0), *q = load(names[i], 48);
    assert_int_equal(policy_views(p), 3);
    assert_int_equal(policy_view_size(p, 2), sizes[i]);
    assert_int_equal(policy_view_size(q, 1), 48);
    assert_int_equal(policy_view_size(q, 2), halved[i]);
    assert_true((strstr(policy_json(p), "\"scale\":[0.05,0.14]") != NULL) == (i == 2));
    policy_close(&p);
    policy_close(&q);
  }
}

static void a_wrong_name_is_answered_with_the_right_ones(void **state) {
  (void)state;
  static const struct {
    const char *name, *names;
  } bad[] = {{"stl", "one of stl10|cifar|imagenet[/crop|"},
             {"", "/crop+color"},
             {"/crop", "/crop+color"},
             {"stl10/", "/crop+color"},
             {"stl10/blue", "/crop+color"},
             {"stl10/cropx", "/crop+color"},
             {"stl10/color+crop", "+essl"},
             {"stl10/all+crop", "+essl"},
             {"stl10+", "+essl"},
             {"stl10+third", "+essl"},
             {"stl10/crop/color", "/crop+color"},
             {"stl10+essl/crop", "+essl"},
             {"stl10+essl+essl", "+essl is there twice"},
             {"evaluate/crop", "evaluate takes no group and no addition"},
             {"evaluate+essl", "takes no group"},
             {"stl10.jsn", ".json"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct policy *p;
    if (policy_load(&p, bad[i].name, 0) != E_ARG) fail_msg("accepted, or another code: %s", bad[i].name);
    assert_null(p);
    if (!strstr(fail_message(), bad[i].names))
      fail_msg("%s: '%s' does not name %s", bad[i].name, fail_message(), bad[i].names);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(presets_have_their_sizes_and_views),
                                     cmocka_unit_test(canonical_text_is_a_fixed_point),
                                     cmocka_unit_test(canonical_text_is_stable),
                                     cmocka_unit_test(equal_policies_have_equal_text),
                                     cmocka_unit_test(parameters_are_named_in_order),
                                     cmocka_unit_test(mistakes_are_named_with_their_place),
                                     cmocka_unit_test(limits_hold),
                                     cmocka_unit_test(names_say_what_a_pair_shares),
                                     cmocka_unit_test(third_views_have_their_sizes),
                                     cmocka_unit_test(a_wrong_name_is_answered_with_the_right_ones),
                                     cmocka_unit_test(files_load_and_say_their_name_when_bad)};
  return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
