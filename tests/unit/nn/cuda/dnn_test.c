/* Plans for every convolution of the networks, made without a GPU for described ones. What they compute is seen only
 * where there is one. TANDEM_DNN_PLANS=1 prints every choice. */
#include "model/backbone.h"
#include "nn/conv2d/conv2d.h"
#include "nn/cuda/dnn.h"
#include "nn/cuda/gpu_models.h"
#include "nn/graph_internal.h"

#include "test.h"

enum { MAX_CONVOLUTIONS = 512, STEM_CHANNELS = 8 }; /* as many as the cuda backend gives to images */

struct convolutions {
  struct dnn_conv_shape shape[MAX_CONVOLUTIONS];
  int count;
};

static bool same(const struct dnn_conv_shape *a, const struct dnn_conv_shape *b) {
  return a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w && a->o == b->o && a->k == b->k &&
         a->stride == b->stride && a->pad == b->pad;
}

static void add_convolution(struct convolutions *all, const struct node *n) {
  const struct conv2d_attr *a = n->attr;
  struct shape x = n->in[0]->shape, w = n->in[1]->shape;
  struct dnn_conv_shape s = {
      x.dim[0], x.dim[1] == 3 ? STEM_CHANNELS : x.dim[1], x.dim[2], x.dim[3], w.dim[0], w.dim[2], a->stride,
      a->pad};
  for (int i = 0; i < all->count; i++) {
    if (same(&all->shape[i], &s)) return;
  }
  assert_true(all->count < MAX_CONVOLUTIONS);
  all->shape[all->count++] = s;
}

static void add_network(struct convolutions *all, const char *arch, int64_t batch, int64_t size) {
  struct model_options options = {arch, size == 32 ? "cifar" : "imagenet", 64};
  struct graph *g = NULL;
  struct model *m = NULL;
  assert_int_equal(model_resolve(&options, NULL), OK);
  assert_int_equal(graph_open(&g, &(struct graph_config){"ref", GRAPH_INFERENCE, 1, true}), OK);
  assert_int_equal(model_open(&m, g, &options), OK);
  backbone(m, graph_input(g, "x", (struct shape){4, {batch, 3, size, size}}), 1);
  for (int i = 0; i < g->n_nodes; i++) {
    if (!strcmp(g->nodes[i]->op->name, "conv2d")) add_convolution(all, g->nodes[i]);
  }
  model_close(&m);
  graph_close(&g);
}

/* Every different convolution of the paper's networks at its image sizes: two views of 256 images, and an odd batch. */
static const struct convolutions *networks(void) {
  static struct convolutions all;
  if (all.count) return &all;
  static const char *const archs[] = {"resnet10", "resnet18", "resnet34", "resnet50"};
  static const int64_t sizes[] = {32, 96, 224}, batches[] = {512, 7};
  for (int i = 0; i < 4 * 3 * 2; i++) add_network(&all, archs[i % 4], batches[i / 12], sizes[i / 4 % 3]);
  return &all;
}

static const char *properties_of(const char *gpu) { return gpu_model_find(gpu)->properties; }

static struct dnn *open_device(const char *device, enum plans plans) {
  struct dnn *dnn = NULL;
  enum status st = dnn_open(&dnn, &(struct dnn_config){.plans = plans, .device = device});
  if (st == E_DEVICE && strstr(fail_message(), "not found")) {
    print_message("%s\n", fail_message());
    skip();
  }
  if (st != OK) fail_msg("%s", fail_message());
  return dnn;
}

static void check_plan(struct dnn *dnn, const struct dnn_conv_shape *s, enum dnn_pass pass,
                       enum plans plans) {
  struct dnn_conv *conv = NULL;
  if (dnn_conv_open(&conv, dnn, s, pass) != OK) fail_msg("%s", fail_message());
  const char *plan = dnn_conv_plan(conv);
  if (getenv("TANDEM_DNN_PLANS")) {
    print_message("%d x [%d,%d,%d] w [%d,%d] stride %d %s: %s\n", (int)pass, (int)s->n, (int)s->c, (int)s->h,
                  (int)s->o, (int)s->k, (int)s->stride, precision_name(s->precision), plan);
  }
  assert_true(dnn_conv_workspace(conv) <= (size_t)1 << 30);
  if (plans == PLANS_DETERMINISTIC) assert_null(strstr(plan, "not deterministic"));
  if (s->precision == PRECISION_F32) assert_null(strstr(plan, "tensor cores"));
  if (s->precision == PRECISION_BF16) assert_non_null(strstr(plan, "tensor cores"));
  dnn_conv_close(&conv);
  assert_null(conv);
}

static void check_device(const char *device, enum plans plans) {
  const struct convolutions *all = networks();
  struct dnn *dnn = open_device(device, plans);
  for (int i = 0; i < all->count; i++) {
    for (int precision = PRECISION_F32; precision <= PRECISION_BF16; precision++) {
      struct dnn_conv_shape s = all->shape[i];
      s.precision = (enum precision)precision;
      check_plan(dnn, &s, DNN_FORWARD, plans);
      check_plan(dnn, &s, DNN_BACKWARD_WEIGHTS, plans);
      if (s.c == STEM_CHANNELS) continue; /* images have no gradient */
      check_plan(dnn, &s, DNN_BACKWARD_DATA, plans);
      check_plan(dnn, &s, DNN_ADD_TO_DATA, plans);
    }
  }
  dnn_close(&dnn);
}

static void every_convolution_has_a_plan_on_sm_80(void **state) {
  (void)state;
  check_device(properties_of("a100"), PLANS_SUGGESTED);
}
static void every_convolution_has_a_plan_on_sm_90(void **state) {
  (void)state;
  check_device(properties_of("h200"), PLANS_SUGGESTED);
}
static void every_convolution_has_a_deterministic_plan_on_sm_80(void **state) {
  (void)state;
  check_device(properties_of("a100"), PLANS_DETERMINISTIC);
}
static void every_convolution_has_a_deterministic_plan_on_sm_90(void **state) {
  (void)state;
  check_device(properties_of("h200"), PLANS_DETERMINISTIC);
}

static void bf16_at_224_px_needs_little_workspace_on_sm_90(void **state) {
  (void)state;
  struct convolutions all = {.count = 0};
  add_network(&all, "resnet50", 512, 224);
  struct dnn *dnn = open_device(properties_of("h200"), PLANS_DETERMINISTIC);
  for (int i = 0; i < all.count; i++) {
    for (int pass = DNN_FORWARD; pass <= DNN_ADD_TO_DATA; pass++) {
      struct dnn_conv_shape s = all.shape[i];
      s.precision = PRECISION_BF16;
      struct dnn_conv *conv = NULL;
      if (s.c == STEM_CHANNELS && pass == DNN_BACKWARD_DATA) continue;
      if (dnn_conv_open(&conv, dnn, &s, (enum dnn_pass)pass) != OK) fail_msg("%s", fail_message());
      assert_true(dnn_conv_workspace(conv) <= (size_t)32 << 20);
      dnn_conv_close(&conv);
    }
  }
  dnn_close(&dnn);
}

/* Beside the first suggestion others, for which a step needs little more memory. */
static void rivals_are_kept_to_be_measured(void **state) {
  (void)state;
  const struct convolutions *all = networks();
  struct dnn *first = open_device(properties_of("h200"), PLANS_SUGGESTED),
             *several = open_device(properties_of("h200"), PLANS_MEASURED);
  for (int i = 0; i < all->count; i++) {
    struct dnn_conv_shape s = all->shape[i];
    struct dnn_conv *a = NULL, *b = NULL;
    s.precision = PRECISION_BF16;
    if (dnn_conv_open(&a, first, &s, DNN_FORWARD) != OK) fail_msg("%s", fail_message());
    if (dnn_conv_open(&b, several, &s, DNN_FORWARD) != OK) fail_msg("%s", fail_message());
    assert_string_equal(dnn_conv_plan(a), dnn_conv_plan(b));
    assert_true(dnn_conv_workspace(b) >= dnn_conv_workspace(a));
    assert_true(dnn_conv_workspace(b) <= (size_t)64 << 20);
    assert_int_equal(dnn_conv_measure(a, NULL, NULL, NULL, NULL, NULL), OK); /* nothing to choose from */
    dnn_conv_close(&a);
    dnn_conv_close(&b);
  }
  dnn_close(&several);
  dnn_close(&first);
}

static void assert_refused(struct dnn *dnn, struct dnn_conv_shape s, enum status want, const char *part) {
  struct dnn_conv *conv = NULL;
  assert_int_equal(dnn_conv_open(&conv, dnn, &s, DNN_FORWARD), want);
  assert_null(conv);
  if (!strstr(fail_message(), part)) fail_msg("'%s' does not say '%s'", fail_message(), part);
}

static void what_cannot_be_is_said(void **state) {
  (void)state;
  struct dnn *dnn = open_device(properties_of("h200"), PLANS_SUGGESTED);
  assert_refused(dnn, (struct dnn_conv_shape){1, 8, 4, 4, 0, 3, 1, 1}, E_SHAPE, "at least 1");
  assert_refused(dnn, (struct dnn_conv_shape){1, 8, 4, 4, 8, 7, 1, 1}, E_SHAPE,
                 "kernel of 7 does not fit into 4x4");
  assert_refused(dnn, (struct dnn_conv_shape){1, 8, 4, 4, 8, 3, 1, -1}, E_SHAPE, "padded by -1");
  assert_refused(
      dnn, (struct dnn_conv_shape){1, 64, 1000000, 1000000, 64, 3, 1, 1, PRECISION_BF16}, E_DEVICE,
      "forward convolution for x [1,64,1000000,1000000], w [64,64,3,3], stride 1, pad 1 in bf16: of ");
  struct dnn_conv *conv = NULL;
  struct dnn_conv_shape s = {1, 8, 4, 4, 8, 3, 1, 1, PRECISION_BF16};
  assert_int_equal(dnn_conv_open(&conv, dnn, &s, DNN_FORWARD), OK);
  assert_int_equal(dnn_conv_run(conv, NULL, NULL, NULL, NULL, NULL), E_DEVICE);
  assert_non_null(strstr(fail_message(), "described device cannot be run"));
  dnn_conv_close(&conv);
  dnn_conv_close(&conv);
  dnn_close(&dnn);
  dnn_close(&dnn);
}

static size_t workspace_within(size_t limit, const struct dnn_conv_shape *s) {
  struct dnn *dnn = NULL;
  struct dnn_conv *conv = NULL;
  assert_int_equal(
      dnn_open(&dnn, &(struct dnn_config){.workspace_limit = limit, .device = properties_of("h200")}), OK);
  if (dnn_conv_open(&conv, dnn, s, DNN_FORWARD) != OK) fail_msg("%s", fail_message());
  size_t workspace = dnn_conv_workspace(conv);
  dnn_conv_close(&conv);
  dnn_close(&dnn);
  return workspace;
}

static void a_workspace_limit_is_kept(void **state) {
  (void)state;
  const struct convolutions *all = networks();
  struct dnn *dnn = open_device(properties_of("h200"), PLANS_SUGGESTED);
  dnn_close(&dnn);
  int limited = 0;
  for (int i = 0; i < all->count; i++) {
    struct dnn_conv_shape s = all->shape[i];
    s.precision = PRECISION_F32; /* whose plans like to repack */
    assert_true(workspace_within(1 << 20, &s) <= 1 << 20);
    limited += workspace_within(0, &s) > 1 << 20;
  }
  assert_true(limited > 0);
}

static void without_a_gpu_cudnn_says_so(void **state) {
  (void)state;
  struct dnn *dnn = open_device(properties_of("h200"), PLANS_SUGGESTED);
  dnn_close(&dnn);
  if (dnn_open(&dnn, &(struct dnn_config){.plans = PLANS_DETERMINISTIC}) == OK) {
    dnn_close(&dnn);
    skip();
  }
  assert_null(dnn);
  assert_non_null(strstr(fail_message(), "cuDNN: cudnnCreate: CUDNN_STATUS_NOT_INITIALIZED"));
}

static void device_properties_that_are_none_are_said(void **state) {
  (void)state;
  struct dnn *dnn = open_device(properties_of("h200"), PLANS_SUGGESTED);
  dnn_close(&dnn);
  assert_int_equal(dnn_open(&dnn, &(struct dnn_config){.device = "{}"}), E_DEVICE);
  assert_null(dnn);
  assert_non_null(strstr(fail_message(), "device properties"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_convolution_has_a_plan_on_sm_80),
      cmocka_unit_test(every_convolution_has_a_plan_on_sm_90),
      cmocka_unit_test(every_convolution_has_a_deterministic_plan_on_sm_80),
      cmocka_unit_test(every_convolution_has_a_deterministic_plan_on_sm_90),
      cmocka_unit_test(bf16_at_224_px_needs_little_workspace_on_sm_90),
      cmocka_unit_test(rivals_are_kept_to_be_measured),
      cmocka_unit_test(what_cannot_be_is_said),
      cmocka_unit_test(a_workspace_limit_is_kept),
      cmocka_unit_test(without_a_gpu_cudnn_says_so),
      cmocka_unit_test(device_properties_that_are_none_are_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
