/* With W seen as [o, (i,k)], its order in memory, and P[b, (i,k)] = r[b,i] t[b,k]:
 *   out = P W^T,  dW = g^T P,  Q = g W,  dr[b,i] = sum_k t[b,k] Q[b,i,k],  dt[b,k] = sum_i r[b,i] Q[b,i,k].
 * P and Q are made a slab of columns at a time, small enough for the cache, so W and dW pass through memory
 * once. */
#include <cblas.h>
#include <string.h>

#include "nn/cpu.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"

enum { SLAB = 4096 }; /* columns of P at a time, about */

struct dims {
  int64_t batch, d, k, slab; /* slab: values of i at a time */
};

static struct dims dims_of(const struct node *n) {
  struct dims s = {n->out->shape.dim[0], n->out->shape.dim[1], n->in[HYPER_T]->shape.dim[1], 0};
  s.slab = SLAB / s.k;
  if (s.slab < 1) s.slab = 1;
  if (s.slab > s.d) s.slab = s.d;
  return s;
}

static size_t slab_bytes(const struct dims *s) { return (size_t)(s->batch * s->slab * s->k) * sizeof(float); }

static enum status prepare(struct node *n, const struct run *run) {
  (void)run;
  struct dims s = dims_of(n);
  n->keep_in = 1 << HYPER_W | 1 << HYPER_T | 1 << HYPER_R;
  n->forward_scratch = slab_bytes(&s);
  n->backward_scratch = 2 * slab_bytes(&s);
  return OK;
}

/* P for i in [at, at + count). */
static void make_products(const struct node *n, const struct dims *s, int64_t at, int64_t count, float *p) {
  const float *t = n->in[HYPER_T]->data, *r = n->in[HYPER_R]->data;
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < s->batch; b++) {
    for (int64_t i = 0; i < count; i++) {
      float *to = p + (b * count + i) * s->k, x = r[b * s->d + at + i];
      for (int64_t k = 0; k < s->k; k++) to[k] = x * t[b * s->k + k];
    }
  }
}

static enum status forward(struct node *n, const struct run *run) {
  (void)run;
  const struct dims s = dims_of(n);
  const float *w = n->in[HYPER_W]->data;
  for (int64_t at = 0; at < s.d; at += s.slab) {
    int64_t count = s.d - at < s.slab ? s.d - at : s.slab;
    make_products(n, &s, at, count, n->scratch_f);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s.batch, (int)s.d, (int)(count * s.k), 1,
                n->scratch_f, (int)(count * s.k), w + at * s.k, (int)(s.d * s.k), at > 0, n->out->data,
                (int)s.d);
  }
  return OK;
}

/* dr and dt from Q for i in [at, at + count). */
static void reduce_products(const struct node *n, const struct dims *s, int64_t at, int64_t count,
                            const float *q) {
  const float *t = n->in[HYPER_T]->data, *r = n->in[HYPER_R]->data;
  float *dt = n->in_grad[HYPER_T], *dr = n->in_grad[HYPER_R];
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < s->batch; b++) {
    for (int64_t i = 0; i < count; i++) {
      const float *from = q + (b * count + i) * s->k;
      float x = r[b * s->d + at + i], sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < s->k; k++) sum += t[b * s->k + k] * from[k];
      if (dr) dr[b * s->d + at + i] = sum;
      for (int64_t k = 0; dt && k < s->k; k++) dt[b * s->k + k] += x * from[k];
    }
  }
}

static enum status backward(struct node *n, const struct run *run) {
  (void)run;
  const struct dims s = dims_of(n);
  const float *w = n->in[HYPER_W]->data, *g = n->out->grad;
  float *dw = n->in_grad[HYPER_W], *p = n->scratch_b, *q = (void *)((char *)n->scratch_b + slab_bytes(&s));
  if (n->in_grad[HYPER_T]) memset(n->in_grad[HYPER_T], 0, n->in[HYPER_T]->bytes);
  for (int64_t at = 0; at < s.d; at += s.slab) {
    int64_t count = s.d - at < s.slab ? s.d - at : s.slab;
    const int columns = (int)(count * s.k), width = (int)(s.d * s.k), batch = (int)s.batch, d = (int)s.d;
    if (dw) {
      make_products(n, &s, at, count, p);
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, d, columns, batch, 1, g, d, p, columns, 0,
                  dw + at * s.k, width);
    }
    if (!n->in_grad[HYPER_T] && !n->in_grad[HYPER_R]) continue;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, batch, columns, d, 1, g, d, w + at * s.k, width, 0,
                q, columns);
    reduce_products(n, &s, at, count, q);
  }
  return OK;
}

const struct kernel kernel_hyper_bilinear_cpu = {
    .op = "hyper_bilinear", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
