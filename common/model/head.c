#include "model/head.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/parts.h"
#include "nn/batch_norm/batch_norm.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/layer_norm/layer_norm.h"
#include "nn/linear/linear.h"
#include "nn/relu/relu.h"

enum { MAX_LAYER_WIDTH = 1 << 20 };

enum status widths_parse(struct widths *out, const char *text, const char *flag) {
  *out = (struct widths){0};
  for (const char *at = text;;) {
    char *end;
    long long width = *at >= '0' && *at <= '9' ? strtoll(at, &end, 10) : 0;
    if (width < 1 || width > MAX_LAYER_WIDTH || (*end && *end != '-'))
      return fail(E_ARG, "--%s: '%s' is not a list of layer widths such as 512-128", flag, text);
    if (out->n == MAX_WIDTHS)
      return fail(E_ARG, "--%s: '%s' has more than %d layers", flag, text, MAX_WIDTHS);
    out->width[out->n++] = width;
    if (!*end) return OK;
    at = end + 1;
  }
}

bool widths_add(struct widths *widths, int64_t width) {
  if (widths->n == MAX_WIDTHS) return false;
  widths->width[widths->n++] = width;
  return true;
}

/* U(+-1/sqrt(fan-in)): what PyTorch's Linear starts from. */
static struct value weight(struct model *m, const char *name, int64_t rows, int64_t fan_in) {
  return model_param(m, name, (struct shape){2, {rows, fan_in}},
                     (struct init){INIT_UNIFORM, 1.0 / sqrt((double)fan_in)});
}

/* The Linear NAME.{3k} to `out` columns. */
static struct value layer(struct model *m, const char *name, int k, struct value x, int64_t out, bool bias) {
  int64_t in = graph_shape(m->graph, x).dim[1];
  struct value b = {0};
  char full[TENSOR_NAME_SIZE];
  snprintf(full, sizeof full, "%s.%d.weight", name, 3 * k);
  struct value w = weight(m, full, out, in);
  snprintf(full, sizeof full, "%s.%d.bias", name, 3 * k);
  if (bias)
    b = model_param(m, full, (struct shape){1, {out}}, (struct init){INIT_UNIFORM, 1.0 / sqrt((double)in)});
  return linear(m->graph, x, w, b);
}

enum ending { END_PLAIN, END_BIAS, END_NORM }; /* of the last Linear */

static struct value perceptron(struct model *model, const char *name, const struct widths *widths,
                               struct value x, int groups, enum ending ending) {
  char norm[NORM_NAME_SIZE];
  for (int k = 0; k < widths->n; k++) {
    bool last = k == widths->n - 1;
    x = layer(model, name, k, x, widths->width[k], last && ending == END_BIAS);
    if (last && ending != END_NORM) break;
    snprintf(norm, sizeof norm, "%s.%d", name, 3 * k + 1);
    x = batch_norm(model->graph, x, norm_params(model, norm, widths->width[k], false, groups), groups, !last);
  }
  return x;
}

struct value mlp(struct model *model, const char *name, const struct widths *widths, struct value x,
                 int groups) {
  return perceptron(model, name, widths, x, groups, END_PLAIN);
}

struct value mlp_last_bias(struct model *model, const char *name, const struct widths *widths, struct value x,
                           int groups) {
  return perceptron(model, name, widths, x, groups, END_BIAS);
}

struct value mlp_last_norm(struct model *model, const char *name, const struct widths *widths, struct value x,
                           int groups) {
  return perceptron(model, name, widths, x, groups, END_NORM);
}

struct value mlp_layer_norm(struct model *model, const char *name, const struct widths *widths,
                            struct value x) {
  char full[TENSOR_NAME_SIZE];
  for (int k = 0; k < widths->n; k++) {
    struct shape shape = {1, {widths->width[k]}};
    x = layer(model, name, k, x, widths->width[k], true);
    if (k == widths->n - 1) break;
    snprintf(full, sizeof full, "%s.%d.weight", name, 3 * k + 1);
    struct value gamma = model_param(model, full, shape, (struct init){INIT_ONE, 0});
    snprintf(full, sizeof full, "%s.%d.bias", name, 3 * k + 1);
    x = layer_norm(model->graph, x, gamma, model_param(model, full, shape, (struct init){INIT_ZERO, 0}));
    x = relu(model->graph, x);
  }
  return x;
}

struct value hypernetwork(struct model *model, const char *name, struct value t, struct value r) {
  struct graph *g = model->graph;
  int64_t features = graph_shape(g, r).dim[1];
  char full[NORM_NAME_SIZE];
  snprintf(full, sizeof full, "%s.hypernet.weight", name);
  struct value h = weight(model, full, features * features, graph_shape(g, t).dim[1]);
  return hyper_bilinear(g, h, t, r);
}
