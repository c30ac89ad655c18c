#include "model/head.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/parts.h"
#include "nn/batch_norm/batch_norm.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/linear/linear.h"

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

/* U(+-1/sqrt(fan-in)): what PyTorch's Linear starts from. */
static struct value weight(struct model *m, const char *name, int64_t rows, int64_t fan_in) {
  return graph_param(m->graph, name, (struct shape){2, {rows, fan_in}},
                     (struct init){INIT_UNIFORM, 1.0 / sqrt((double)fan_in)});
}

struct value mlp(struct model *model, const char *name, const struct widths *widths, struct value x,
                 int groups) {
  struct graph *g = model->graph;
  char full[NORM_NAME_SIZE];
  for (int k = 0; k < widths->n; k++) {
    snprintf(full, sizeof full, "%s.%d.weight", name, 3 * k);
    x = linear(g, x, weight(model, full, widths->width[k], graph_shape(g, x).dim[1]), (struct value){0});
    if (k == widths->n - 1) break;
    snprintf(full, sizeof full, "%s.%d", name, 3 * k + 1);
    x = batch_norm(g, x, norm_params(model, full, widths->width[k], false, groups), groups, true);
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
