/* barlow_loss over REAL, the backend's number, with the backend's matrix product: included by barlow_loss_cpu.c
 * (float) and barlow_loss_ref.c (double), which define
 *
 *   product(transposed, m, n, k, alpha, a, b, c): c [m,n] = alpha a b, a [m,k], or [k,m] if transposed */
#include <math.h>

#include "nn/barlow_loss/barlow_loss.h"
#include "nn/engine.h"

/* saved: z^ [2][N,D], 1/sd [2][D], then C [D,D], of which backward makes dC; backward scratch: dz^ [N,D] and
 * the transpose of dC. */
struct parts {
  REAL *z[2], *scale[2], *c;
  int64_t n, d;
};

static struct parts parts_of(const struct node *node, REAL *saved) {
  int64_t n = node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  return (struct parts){
      {saved, saved + n * d}, {saved + 2 * n * d, saved + 2 * n * d + d}, saved + 2 * n * d + 2 * d, n, d};
}

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  int64_t n = node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  size_t bytes = (size_t)(2 * n * d + 2 * d + d * d) * sizeof(REAL);
  *(node->out->wants_grad ? &node->saved_bytes : &node->forward_scratch) = bytes;
  node->backward_scratch = (size_t)(n * d + d * d) * sizeof(REAL);
  return OK;
}

static void standardise(const struct parts *p, int side, const REAL *z, double eps) {
  for (int64_t k = 0; k < p->d; k++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < p->n; i++) sum += z[i * p->d + k];
    const double mean = sum / (double)p->n;
    for (int64_t i = 0; i < p->n; i++) squares += (z[i * p->d + k] - mean) * (z[i * p->d + k] - mean);
    const double scale = 1 / sqrt(squares / (double)p->n + eps);
    p->scale[side][k] = (REAL)scale;
    for (int64_t i = 0; i < p->n; i++) p->z[side][i * p->d + k] = (REAL)((z[i * p->d + k] - mean) * scale);
  }
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const struct barlow_loss_attr *a = node->attr;
  struct parts p = parts_of(node, node->saved ? node->saved : node->scratch_f);
  double on = 0, off = 0;
  for (int side = 0; side < 2; side++) standardise(&p, side, node->in[side]->data, a->eps);
  product(true, p.d, p.d, p.n, 1 / (double)p.n, p.z[0], p.z[1], p.c);
  for (int64_t i = 0; i < p.d; i++) {
    for (int64_t j = 0; j < p.d; j++) {
      const double c = p.c[i * p.d + j];
      *(i == j ? &on : &off) += i == j ? (1 - c) * (1 - c) : c * c;
    }
  }
  *(REAL *)node->out->data = (REAL)(on + a->off_diagonal * off);
  return OK;
}

/* dz = (dz^ - mean(dz^) - z^ mean(dz^ z^)) / sd, by columns */
static void through_standardisation(const struct parts *p, int side, const REAL *g, REAL *dz) {
  for (int64_t k = 0; k < p->d; k++) {
    const REAL *z = p->z[side];
    double sum = 0, dot = 0;
    for (int64_t i = 0; i < p->n; i++) {
      sum += g[i * p->d + k];
      dot += (double)g[i * p->d + k] * z[i * p->d + k];
    }
    for (int64_t i = 0; i < p->n; i++)
      dz[i * p->d + k] =
          (REAL)((g[i * p->d + k] - (sum + z[i * p->d + k] * dot) / (double)p->n) * p->scale[side][k]);
  }
}

/* dz1^ = z2^ dC^T / N, dz2^ = z1^ dC / N, with dC_ii = 2 (C_ii - 1), dC_ij = 2 off_diagonal C_ij */
static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const struct barlow_loss_attr *a = node->attr;
  struct parts p = parts_of(node, node->saved);
  REAL *g = node->scratch_b, *transposed = g + p.n * p.d;
  const double scale = 2 * (double)*(const REAL *)node->out->grad;
  for (int64_t i = 0; i < p.d; i++) {
    for (int64_t j = 0; j < p.d; j++) {
      const double c = p.c[i * p.d + j];
      p.c[i * p.d + j] = transposed[j * p.d + i] = (REAL)(scale * (i == j ? c - 1 : a->off_diagonal * c));
    }
  }
  for (int side = 0; side < 2; side++) {
    if (!node->in_grad[side]) continue;
    product(false, p.n, p.d, p.d, 1 / (double)p.n, p.z[1 - side], side ? p.c : transposed, g);
    through_standardisation(&p, side, g, node->in_grad[side]);
  }
  return OK;
}
