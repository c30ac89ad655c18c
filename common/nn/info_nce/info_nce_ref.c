#include <math.h>

#include "nn/engine.h"
#include "nn/info_nce/info_nce.h"

/* saved: U [2N,D], norms [2N], softmax [2N,2N]; backward scratch: dU [D]. */
struct parts {
  double *u, *norm, *p;
  int64_t half, n, d; /* N, 2N, D */
};

static struct parts parts_of(const struct node *node, double *saved) {
  int64_t n = 2 * node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  return (struct parts){saved, saved + n * d, saved + n * d + n, n / 2, n, d};
}

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  int64_t n = 2 * node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  size_t bytes = (size_t)(n * d + n + n * n) * sizeof(double);
  *(node->out->wants_grad ? &node->saved_bytes : &node->forward_scratch) = bytes;
  node->backward_scratch = (size_t)d * sizeof(double);
  return OK;
}

static void normalise(const struct node *node, const struct parts *a) {
  const struct info_nce_attr *attr = node->attr;
  for (int64_t i = 0; i < a->n; i++) {
    const double *z = i < a->half ? node->in[0]->data : node->in[1]->data;
    z += (i < a->half ? i : i - a->half) * a->d;
    double square = 0;
    for (int64_t j = 0; j < a->d; j++) square += z[j] * z[j];
    a->norm[i] = fmax(sqrt(square), attr->min_norm);
    for (int64_t j = 0; j < a->d; j++) a->u[i * a->d + j] = z[j] / a->norm[i];
  }
}

/* Row i: similarities, then their softmax in place; returns the row's loss. */
static double softmax_row(const struct parts *a, int64_t i, double temperature) {
  double *p = a->p + i * a->n, top = -INFINITY, sum = 0;
  for (int64_t j = 0; j < a->n; j++) {
    p[j] = 0;
    for (int64_t k = 0; k < a->d; k++) p[j] += a->u[i * a->d + k] * a->u[j * a->d + k];
    p[j] = j == i ? -INFINITY : p[j] / temperature;
    top = fmax(top, p[j]);
  }
  double positive = p[(i + a->half) % a->n];
  for (int64_t j = 0; j < a->n; j++) {
    p[j] = exp(p[j] - top);
    sum += p[j];
  }
  for (int64_t j = 0; j < a->n; j++) p[j] /= sum;
  // cppcheck-suppress invalidFunctionArg ; the largest term is 1
  return log(sum) + top - positive;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const struct info_nce_attr *attr = node->attr;
  struct parts a = parts_of(node, node->saved ? node->saved : node->scratch_f);
  double loss = 0;
  normalise(node, &a);
  for (int64_t i = 0; i < a.n; i++) loss += softmax_row(&a, i, attr->temperature);
  *(double *)node->out->data = loss / (double)a.n;
  return OK;
}

/* dU = (dS + dS^T) U / temperature, dS = (softmax - onehot) / 2N; dz = (dU - u <u, dU>) / norm. */
static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const struct info_nce_attr *attr = node->attr;
  struct parts a = parts_of(node, node->saved);
  double scale = *(const double *)node->out->grad / ((double)a.n * attr->temperature), *du = node->scratch_b;
  for (int64_t i = 0; i < a.n; i++) {
    double *to = node->in_grad[i >= a.half], dot = 0;
    if (!to) continue;
    to += (i < a.half ? i : i - a.half) * a.d;
    for (int64_t k = 0; k < a.d; k++) du[k] = 0;
    for (int64_t j = 0; j < a.n; j++) {
      double ds = a.p[i * a.n + j] + a.p[j * a.n + i] - 2 * (j == (i + a.half) % a.n);
      for (int64_t k = 0; k < a.d; k++) du[k] += scale * ds * a.u[j * a.d + k];
    }
    for (int64_t k = 0; k < a.d; k++) dot += du[k] * a.u[i * a.d + k];
    for (int64_t k = 0; k < a.d; k++) { to[k] = (du[k] - dot * a.u[i * a.d + k]) / a.norm[i]; }
  }
  return OK;
}

const struct kernel kernel_info_nce_ref = {
    .op = "info_nce", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
