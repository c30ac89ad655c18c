#include <math.h>

#include "nn/batch_norm/batch_norm.h"
#include "nn/engine.h"

/* One channel of one group: `rows` images of `area` numbers, `stride` apart, the first at `at`. */
struct slice {
  int64_t at, rows, stride, area;
};

struct dims {
  int64_t channels, area, groups, rows;
};

static struct dims dims_of(const struct node *node) {
  const struct shape *s = &node->out->shape;
  const struct batch_norm_attr *a = node->attr;
  int64_t area = s->n_dims == 4 ? s->dim[2] * s->dim[3] : 1;
  return (struct dims){s->dim[1], area, a->groups, s->dim[0] / a->groups};
}

static struct slice slice_of(const struct dims *d, int64_t group, int64_t channel) {
  int64_t stride = d->channels * d->area;
  return (struct slice){group * d->rows * stride + channel * d->area, d->rows, stride, d->area};
}

static int64_t count_of(struct slice s) { return s.rows * s.area; }
static int64_t index_of(struct slice s, int64_t k) { return s.at + k / s.area * s.stride + k % s.area; }

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  const struct batch_norm_attr *a = node->attr;
  struct dims d = dims_of(node);
  node->keep_in = 1 << BN_X | 1 << BN_GAMMA;
  node->keep_out = a->relu;
  node->saved_bytes = (size_t)(2 * d.groups * d.channels) * sizeof(double);
  return OK;
}

static void batch_statistics(const double *x, struct slice s, double *mean, double *var) {
  double sum = 0, squares = 0, count = (double)count_of(s);
  for (int64_t k = 0; k < count_of(s); k++) sum += x[index_of(s, k)];
  *mean = sum / count;
  for (int64_t k = 0; k < count_of(s); k++) squares += pow(x[index_of(s, k)] - *mean, 2);
  *var = squares / count;
}

static void update_running(const struct node *node, int64_t channel, double m, double mean, double var,
                           double count) {
  double *running_mean = node->in[BN_MEAN]->data, *running_var = node->in[BN_VAR]->data;
  running_mean[channel] = (1 - m) * running_mean[channel] + m * mean;
  running_var[channel] = (1 - m) * running_var[channel] + m * var * count / (count - 1);
}

static enum status forward(struct node *node, const struct run *run) {
  const struct batch_norm_attr *a = node->attr;
  struct dims d = dims_of(node);
  const double *x = node->in[BN_X]->data, *gamma = node->in[BN_GAMMA]->data, *beta = node->in[BN_BETA]->data;
  const double *residual = a->residual ? node->in[BN_RESIDUAL]->data : NULL;
  double *y = node->out->data, *saved = node->saved;
  for (int64_t gc = 0; gc < d.groups * d.channels; gc++) {
    int64_t c = gc % d.channels;
    struct slice s = slice_of(&d, gc / d.channels, c);
    double mean = ((double *)node->in[BN_MEAN]->data)[c], var = ((double *)node->in[BN_VAR]->data)[c];
    if (run->mode != GRAPH_INFERENCE) {
      batch_statistics(x, s, &mean, &var);
      update_running(node, c, run->bn_momentum, mean, var, (double)count_of(s));
    }
    double scale = 1 / sqrt(var + a->eps);
    if (saved) {
      saved[2 * gc] = mean;
      saved[2 * gc + 1] = scale;
    }
    for (int64_t k = 0; k < count_of(s); k++) {
      int64_t i = index_of(s, k);
      y[i] = gamma[c] * ((x[i] - mean) * scale) + beta[c] + (residual ? residual[i] : 0);
      if (a->relu && y[i] <= 0) y[i] = 0;
    }
  }
  return OK;
}

/* dx = gamma scale (g - mean(g) - xhat mean(g xhat)), g = dy where the ReLU let it pass. */
static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const struct batch_norm_attr *a = node->attr;
  struct dims d = dims_of(node);
  const double *x = node->in[BN_X]->data, *y = node->out->data, *dy = node->out->grad, *saved = node->saved;
  const double *gamma = node->in[BN_GAMMA]->data;
  double *dx = node->in_grad[BN_X], *dgamma = node->in_grad[BN_GAMMA], *dbeta = node->in_grad[BN_BETA];
  double *dres = a->residual ? node->in_grad[BN_RESIDUAL] : NULL;
  for (int64_t gc = 0; gc < d.groups * d.channels; gc++) {
    int64_t c = gc % d.channels;
    struct slice s = slice_of(&d, gc / d.channels, c);
    double mean = saved[2 * gc], scale = saved[2 * gc + 1], sum = 0, dot = 0, count = (double)count_of(s);
    for (int64_t k = 0; k < count_of(s); k++) {
      int64_t i = index_of(s, k);
      double g = a->relu && y[i] <= 0 ? 0 : dy[i];
      if (dres) dres[i] = g;
      sum += g;
      dot += g * ((x[i] - mean) * scale);
    }
    if (dgamma) dgamma[c] = dot + (gc < d.channels ? 0 : dgamma[c]);
    if (dbeta) dbeta[c] = sum + (gc < d.channels ? 0 : dbeta[c]);
    if (!dx) continue;
    for (int64_t k = 0; k < count_of(s); k++) {
      int64_t i = index_of(s, k);
      double g = a->relu && y[i] <= 0 ? 0 : dy[i];
      dx[i] = gamma[c] * scale * (g - sum / count - (x[i] - mean) * scale * dot / count);
    }
  }
  return OK;
}

const struct kernel kernel_batch_norm_ref = {
    .op = "batch_norm", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
