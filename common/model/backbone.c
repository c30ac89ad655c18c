#include "model/backbone.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/parts.h"
#include "nn/avg_pool_global/avg_pool_global.h"
#include "nn/batch_norm/batch_norm.h"
#include "nn/conv2d/conv2d.h"
#include "nn/max_pool/max_pool.h"

enum { N_STAGES = 4 };

struct plan {
  const char *arch;
  int blocks[N_STAGES];
  int expansion; /* channels of a block's output by those of its 3x3 convolution; 1: basic blocks */
};

static const struct plan plans[] = {{"resnet10", {1, 1, 1, 1}, 1},
                                    {"resnet18", {2, 2, 2, 2}, 1},
                                    {"resnet34", {3, 4, 6, 3}, 1},
                                    {"resnet50", {3, 4, 6, 3}, 4}};

static const struct plan *plan_of(const char *arch) {
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
    if (strcmp(plans[i].arch, arch) == 0) return &plans[i];
  return NULL;
}

int64_t model_features(const struct model_options *options) {
  return options->width * (1 << (N_STAGES - 1)) * plan_of(options->arch)->expansion;
}

/* Where a block's tensors go and how its BatchNorms are called. */
struct block {
  struct model *model;
  const char *prefix; /* "backbone.layer1.0" */
  int groups;
};

static struct value convolution(struct model *m, const char *prefix, const char *name, struct value x,
                                int64_t out, int kernel, int stride) {
  char full[NORM_NAME_SIZE];
  snprintf(full, sizeof full, "%s.%s.weight", prefix, name);
  struct shape shape = {4, {out, graph_shape(m->graph, x).dim[1], kernel, kernel}};
  struct init kaiming = {INIT_NORMAL, sqrt(2.0 / (double)(out * kernel * kernel))};
  return conv2d(m->graph, x, model_param(m, full, shape, kaiming), stride, kernel / 2);
}

static struct bn_params norm_of(const struct block *b, const char *name, struct value x, bool last) {
  char full[NORM_NAME_SIZE];
  snprintf(full, sizeof full, "%s.%s", b->prefix, name);
  return norm_params(b->model, full, graph_shape(b->model->graph, x).dim[1], last, b->groups);
}

/* relu(bn(conv(x))) */
static struct value unit(const struct block *b, const char *conv, const char *norm, struct value x,
                         int64_t out, int kernel, int stride) {
  struct value y = convolution(b->model, b->prefix, conv, x, out, kernel, stride);
  return batch_norm(b->model->graph, y, norm_of(b, norm, y, false), b->groups, true);
}

static struct value shortcut(const struct block *b, struct value x, int64_t out, int stride) {
  if (stride == 1 && graph_shape(b->model->graph, x).dim[1] == out) return x;
  struct value y = convolution(b->model, b->prefix, "downsample.0", x, out, 1, stride);
  return batch_norm(b->model->graph, y, norm_of(b, "downsample.1", y, false), b->groups, false);
}

/* relu(bn2(conv2(unit1(x))) + shortcut(x)) */
static struct value basic(const struct block *b, struct value x, int64_t channels, int stride) {
  struct value y = unit(b, "conv1", "bn1", x, channels, 3, stride);
  y = convolution(b->model, b->prefix, "conv2", y, channels, 3, 1);
  struct bn_params norm = norm_of(b, "bn2", y, true);
  return batch_norm_add_relu(b->model->graph, y, norm, b->groups, shortcut(b, x, channels, stride));
}

static struct value bottleneck(const struct block *b, struct value x, int64_t channels, int stride,
                               int expansion) {
  struct value y = unit(b, "conv1", "bn1", x, channels, 1, 1);
  y = unit(b, "conv2", "bn2", y, channels, 3, stride);
  y = convolution(b->model, b->prefix, "conv3", y, channels * expansion, 1, 1);
  struct bn_params norm = norm_of(b, "bn3", y, true);
  return batch_norm_add_relu(b->model->graph, y, norm, b->groups,
                             shortcut(b, x, channels * expansion, stride));
}

static struct value stem(struct model *m, struct value x, int groups) {
  struct block b = {m, "backbone", groups};
  if (strcmp(m->options.stem, "cifar") == 0) return unit(&b, "conv1", "bn1", x, m->options.width, 3, 1);
  return max_pool(m->graph, unit(&b, "conv1", "bn1", x, m->options.width, 7, 2), 3, 2, 1);
}

struct value backbone(struct model *model, struct value x, int groups) {
  const struct plan *plan = plan_of(model->options.arch);
  x = stem(model, x, groups);
  for (int s = 0; s < N_STAGES; s++)
    for (int i = 0; i < plan->blocks[s]; i++) {
      char prefix[32];
      snprintf(prefix, sizeof prefix, "backbone.layer%d.%d", s + 1, i);
      struct block b = {model, prefix, groups};
      int64_t channels = model->options.width << s;
      int stride = s > 0 && i == 0 ? 2 : 1;
      x = plan->expansion == 1 ? basic(&b, x, channels, stride)
                               : bottleneck(&b, x, channels, stride, plan->expansion);
    }
  return avg_pool_global(model->graph, x);
}
