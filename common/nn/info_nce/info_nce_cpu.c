/* S and dU are matrix products; norms, softmax rows and the loss are summed in float64. */
#include <cblas.h>
#include <math.h>

#include "nn/cpu.h"
#include "nn/info_nce/info_nce.h"

/* saved: U [2N,D], norms [2N], softmax [2N,2N]; backward scratch: dS + dS^T [2N,2N], dU [2N,D]. */
struct parts {
  float *u, *norm, *p;
  int64_t half, n, d; /* N, 2N, D */
};

static struct parts parts_of(const struct node *node, float *saved) {
  int64_t n = 2 * node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  return (struct parts){saved, saved + n * d, saved + n * d + n, n / 2, n, d};
}

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  int64_t n = 2 * node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  size_t bytes = (size_t)(n * d + n + n * n) * sizeof(float);
  *(node->out->wants_grad ? &node->saved_bytes : &node->forward_scratch) = bytes;
  node->backward_scratch = (size_t)(n * n + n * d) * sizeof(float);
  return OK;
}

static void normalise(const struct node *node, const struct parts *a) {
  const struct info_nce_attr *attr = node->attr;
  for (int64_t i = 0; i < a->n; i++) {
    const float *z = i < a->half ? node->in[0]->data : node->in[1]->data;
    z += (i < a->half ? i : i - a->half) * a->d;
    double square = 0;
    for (int64_t j = 0; j < a->d; j++) square += (double)z[j] * z[j];
    double norm = fmax(sqrt(square), attr->min_norm);
    a->norm[i] = (float)norm;
    for (int64_t j = 0; j < a->d; j++) a->u[i * a->d + j] = (float)(z[j] / norm);
  }
}

/* Row i of S becomes its softmax; returns the row's loss. */
static double softmax_row(const struct parts *a, int64_t i) {
  float *p = a->p + i * a->n, positive = p[(i + a->half) % a->n], top = -INFINITY;
  double sum = 0;
  p[i] = -INFINITY;
  for (int64_t j = 0; j < a->n; j++) top = fmaxf(top, p[j]);
  for (int64_t j = 0; j < a->n; j++) {
    p[j] = expf(p[j] - top);
    sum += p[j];
  }
  for (int64_t j = 0; j < a->n; j++) p[j] = (float)(p[j] / sum);
  // cppcheck-suppress invalidFunctionArg ; the largest term is 1
  return log(sum) + ((double)top - positive);
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const struct info_nce_attr *attr = node->attr;
  struct parts a = parts_of(node, node->saved ? node->saved : node->scratch_f);
  double loss = 0;
  normalise(node, &a);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)a.n, (int)a.n, (int)a.d,
              (float)(1 / attr->temperature), a.u, (int)a.d, a.u, (int)a.d, 0, a.p, (int)a.n);
  for (int64_t i = 0; i < a.n; i++) loss += softmax_row(&a, i);
  *(float *)node->out->data = (float)(loss / (double)a.n);
  return OK;
}

/* dU = (dS + dS^T) U / temperature, dS = (softmax - onehot) / 2N; dz = (dU - u <u, dU>) / norm. */
static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const struct info_nce_attr *attr = node->attr;
  struct parts a = parts_of(node, node->saved);
  float *ds = node->scratch_b, *du = ds + a.n * a.n;
  const double scale = *(const float *)node->out->grad / ((double)a.n * attr->temperature);
  for (int64_t i = 0; i < a.n; i++) {
    for (int64_t j = 0; j < a.n; j++) {
      int positive = j == (i + a.half) % a.n;
      ds[i * a.n + j] = (float)(scale * ((double)a.p[i * a.n + j] + a.p[j * a.n + i] - 2 * positive));
    }
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)a.n, (int)a.d, (int)a.n, 1, ds, (int)a.n, a.u,
              (int)a.d, 0, du, (int)a.d);
  for (int64_t i = 0; i < a.n; i++) {
    const float *u = a.u + i * a.d, *g = du + i * a.d;
    float *to = node->in_grad[i >= a.half];
    double dot = 0;
    if (!to) continue;
    to += (i < a.half ? i : i - a.half) * a.d;
    for (int64_t k = 0; k < a.d; k++) dot += (double)g[k] * u[k];
    for (int64_t k = 0; k < a.d; k++) to[k] = (float)((g[k] - dot * u[k]) / a.norm[i]);
  }
  return OK;
}

const struct kernel kernel_info_nce_cpu = {
    .op = "info_nce", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
