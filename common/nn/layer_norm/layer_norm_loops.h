/* layer_norm in plain loops over REAL, the backend's number: included by layer_norm_cpu.c (float) and
 * layer_norm_ref.c (double). */
#include <math.h>
#include <string.h>

#include "nn/engine.h"
#include "nn/layer_norm/layer_norm.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1 | 2;
  return OK;
}

static void moments(const struct node *node, const REAL *x, double *mean, double *scale) {
  const struct layer_norm_attr *a = node->attr;
  int64_t d = node->out->shape.dim[1];
  double sum = 0, squares = 0;
  for (int64_t k = 0; k < d; k++) sum += x[k];
  *mean = sum / (double)d;
  for (int64_t k = 0; k < d; k++) squares += (x[k] - *mean) * (x[k] - *mean);
  *scale = 1 / sqrt(squares / (double)d + a->eps);
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const REAL *gamma = node->in[1]->data, *beta = node->in[2]->data;
  int64_t d = node->out->shape.dim[1];
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++) {
    const REAL *x = (const REAL *)node->in[0]->data + i * d;
    REAL *y = (REAL *)node->out->data + i * d;
    double mean, scale;
    moments(node, x, &mean, &scale);
    for (int64_t k = 0; k < d; k++) y[k] = (REAL)(gamma[k] * ((x[k] - mean) * scale) + beta[k]);
  }
  return OK;
}

/* dx = scale (g - mean(g) - x^ mean(g x^)), g = gamma dy */
static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const REAL *gamma = node->in[1]->data;
  REAL *dgamma = node->in_grad[1], *dbeta = node->in_grad[2];
  int64_t d = node->out->shape.dim[1];
  for (int k = 1; k < 3; k++)
    if (node->in_grad[k]) memset(node->in_grad[k], 0, node->in[k]->bytes);
  for (int64_t i = 0; i < node->out->shape.dim[0]; i++) {
    const REAL *x = (const REAL *)node->in[0]->data + i * d, *dy = (const REAL *)node->out->grad + i * d;
    REAL *dx = node->in_grad[0] ? (REAL *)node->in_grad[0] + i * d : NULL;
    double mean, scale, sum = 0, dot = 0;
    moments(node, x, &mean, &scale);
    for (int64_t k = 0; k < d; k++) {
      const double xhat = (x[k] - mean) * scale;
      if (dgamma) dgamma[k] += (REAL)(dy[k] * xhat);
      if (dbeta) dbeta[k] += dy[k];
      sum += (double)gamma[k] * dy[k];
      dot += (double)gamma[k] * dy[k] * xhat;
    }
    for (int64_t k = 0; dx && k < d; k++)
      dx[k] = (REAL)(scale * ((double)gamma[k] * dy[k] - (sum + (x[k] - mean) * scale * dot) / (double)d));
  }
  return OK;
}
