/* cosine_loss in plain loops over REAL, the backend's number: included by cosine_loss_cpu.c (float) and
 * cosine_loss_ref.c (double). */
#include <math.h>

#include "nn/cosine_loss/cosine_loss.h"
#include "nn/engine.h"

static enum status prepare(struct node *node, const struct run *run) {
  (void)run;
  node->keep_in = 1 | 2;
  return OK;
}

struct row {
  double cosine, p_norm, z_norm;
};

static struct row row_of(const struct node *node, int64_t i) {
  const struct cosine_loss_attr *a = node->attr;
  int64_t d = node->in[0]->shape.dim[1];
  const REAL *p = (const REAL *)node->in[0]->data + i * d, *z = (const REAL *)node->in[1]->data + i * d;
  double pp = 0, zz = 0, pz = 0;
  for (int64_t k = 0; k < d; k++) {
    pp += (double)p[k] * p[k];
    zz += (double)z[k] * z[k];
    pz += (double)p[k] * z[k];
  }
  struct row r = {0, fmax(sqrt(pp), a->min_norm), fmax(sqrt(zz), a->min_norm)};
  r.cosine = pz / (r.p_norm * r.z_norm);
  return r;
}

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  const struct cosine_loss_attr *a = node->attr;
  int64_t n = node->in[0]->shape.dim[0];
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += row_of(node, i).cosine;
  *(REAL *)node->out->data = (REAL)(a->offset - a->scale * sum / (double)n);
  return OK;
}

/* dp = -scale / N (z/|z| - cos p/|p|) / |p| */
static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  const struct cosine_loss_attr *a = node->attr;
  int64_t n = node->in[0]->shape.dim[0], d = node->in[0]->shape.dim[1];
  const REAL *p = node->in[0]->data, *z = node->in[1]->data;
  REAL *dp = node->in_grad[0];
  double scale = -a->scale * *(const REAL *)node->out->grad / (double)n;
  for (int64_t i = 0; dp && i < n; i++) {
    struct row r = row_of(node, i);
    for (int64_t k = i * d; k < (i + 1) * d; k++)
      dp[k] = (REAL)(scale * (z[k] / r.z_norm - r.cosine * p[k] / r.p_norm) / r.p_norm);
  }
  return OK;
}
