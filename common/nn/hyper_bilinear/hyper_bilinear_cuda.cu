/* With W seen as [o, (i,k)], its order in memory, and P[b, (i,k)] = r[b,i] t[b,k]:
 *   out = P W^T,  dW = g^T P,  Q = g W,  dr[b,i] = sum_k t[b,k] Q[b,i,k],  dt[b,k] = sum_i r[b,i] Q[b,i,k].
 * P and Q are made a slab of columns at a time, so that their memory does not grow with D; at the paper's sizes one
 * slab is all. Sums over slabs and Q are float32; P has the type that is multiplied. */
#include "nn/cuda/launch.cuh"
#include "nn/cuda/matmul.h"

#include <initializer_list>
#include <stdlib.h>

extern "C" {
#include "nn/hyper_bilinear/hyper_bilinear.h"
}

enum { SLAB = 65536 }; /* columns of P at a time, about */

struct products {
  struct matmul *forward, *weights, *q; /* the backward ones: NULL when not wanted */
};

struct hyper_state {
  struct products whole, last; /* of slabs; the last one may be narrower */
  enum element factor;
  int64_t batch, d, k, slab; /* slab: values of i at a time */
  int64_t stride;            /* numbers from row to row of P and Q */
  /* Of scratch: w in the factors' type, P, Q, and sums over slabs where their results are not float32. */
  size_t w_bytes, p_bytes, q_bytes, out_bytes, dt_bytes, workspace;
};

/* --- Kernels --- */

/* A vector of P, of columns [first * k, first * k + columns). */
static __global__ void form_products(struct span p, struct span t, struct span r, int64_t rows,
                                     int64_t stride, int64_t columns, int64_t first, int64_t d, int64_t k) {
  const int64_t per_row = stride / CUDA_LANES, b = item() / per_row, column = item() % per_row * CUDA_LANES;
  if (b >= rows) return;
  int64_t i = column / k, at = column % k;
  struct vector v;
  for (int lane = 0; lane < CUDA_LANES; lane++) {
    v.lane[lane] = column + lane < columns ? load(r, b * d + first + i) * load(t, b * k + at) : 0;
    if (++at == k) at = 0, i++;
  }
  store_vector(p, item(), v);
}

/* A warp per (b, i). */
static __global__ void sum_over_k(struct span dr, struct span t, const float *q, int64_t rows, int64_t stride,
                                  int64_t count, int64_t first, int64_t d, int64_t k) {
  const int64_t row = item() / warpSize, b = row / count, i = row % count;
  const int lane = static_cast<int>(threadIdx.x) % warpSize;
  if (b >= rows) return;
  float sum = 0;
  for (int64_t at = lane; at < k; at += warpSize) sum += load(t, b * k + at) * q[b * stride + i * k + at];
  for (int bits = warpSize / 2; bits > 0; bits /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, bits);
  if (lane == 0) store(dr, b * d + first + i, sum);
}

/* A thread per (b, k). */
static __global__ void sum_over_i(float *dt, struct span r, const float *q, int64_t rows, int64_t stride,
                                  int64_t count, int64_t first, int64_t d, int64_t k) {
  const int64_t b = item() / k, at = item() % k;
  if (b >= rows) return;
  float sum = first ? dt[item()] : 0;
  for (int64_t i = 0; i < count; i++) sum += load(r, b * d + first + i) * q[b * stride + i * k + at];
  dt[item()] = sum;
}

/* --- Planning --- */

static struct hyper_state *state_of(const struct node *n) {
  return static_cast<struct hyper_state *>(n->state);
}

static enum number number_in(const struct tensor *t) {
  return t->layout.element == ELEMENT_BF16 ? NUMBER_BF16 : NUMBER_F32;
}

/* What the beginnings of all slabs are multiples of. */
static size_t alignment_of(const struct hyper_state *s) {
  size_t bytes = static_cast<size_t>(s->slab * s->k) * cuda_element_bytes(s->factor),
         alignment = bytes & -bytes;
  return s->slab == s->d || alignment > 16 ? 16 : alignment;
}

static enum status open_products(struct node *n, const struct cuda *cuda, int64_t count,
                                 struct products *products) {
  const struct hyper_state *s = state_of(n);
  const int64_t columns = count * s->k, w_stride = s->d * s->k;
  struct matmul_shape forward = {}, weights = {}, q = {};
  enum status st = OK;
  forward.rows = s->batch, forward.columns = s->d, forward.inner = columns;
  forward.b_transposed = true;
  forward.a_stride = s->stride, forward.b_stride = w_stride;
  weights.rows = s->d, weights.columns = columns, weights.inner = s->batch;
  weights.a_transposed = true;
  weights.b_stride = s->stride, weights.c_stride = w_stride;
  weights.out = number_in(n->in[HYPER_W]);
  q.rows = s->batch, q.columns = columns, q.inner = s->d;
  q.b_stride = w_stride, q.c_stride = s->stride;
  forward.in = weights.in = q.in = number_of(cuda->precision);
  forward.alignment = weights.alignment = q.alignment = alignment_of(s);
  TRY(matmul_open(&products->forward, cuda->blas, &forward));
  if (node_differentiates(n, HYPER_W)) TRY(matmul_open(&products->weights, cuda->blas, &weights));
  if (node_differentiates(n, HYPER_T) || node_differentiates(n, HYPER_R))
    TRY(matmul_open(&products->q, cuda->blas, &q));
out:
  return st;
}

static size_t workspace_of(const struct products *p) {
  size_t most = 0;
  for (const struct matmul *m : {p->forward, p->weights, p->q})
    if (m && matmul_workspace(m) > most) most = matmul_workspace(m);
  return most;
}

static size_t float_bytes(int64_t count) { return cuda_whole(static_cast<size_t>(count) * sizeof(float)); }

static void plan_memory(struct node *n) {
  struct hyper_state *s = state_of(n);
  const size_t number = cuda_element_bytes(s->factor);
  const bool w_is_factor = n->in[HYPER_W]->layout.element == s->factor;
  s->w_bytes = w_is_factor ? 0 : cuda_whole(static_cast<size_t>(s->d * s->d * s->k) * number);
  s->p_bytes = cuda_whole(static_cast<size_t>(s->batch * s->stride) * number);
  s->q_bytes = s->whole.q ? float_bytes(s->batch * s->stride) : 0;
  s->out_bytes = n->out->layout.element == ELEMENT_OWN ? 0 : float_bytes(s->batch * s->d);
  s->dt_bytes = n->in[HYPER_T]->layout.element == ELEMENT_OWN ? 0 : float_bytes(s->batch * s->k);
  const size_t whole = workspace_of(&s->whole), last = workspace_of(&s->last);
  s->workspace = whole > last ? whole : last;
  n->forward_scratch = s->w_bytes + s->p_bytes + s->out_bytes + s->workspace;
  n->backward_scratch = s->w_bytes + s->p_bytes + s->q_bytes + s->dt_bytes + s->workspace;
  n->keep_in = 1 << HYPER_W | 1 << HYPER_T | 1 << HYPER_R;
}

static enum status prepare(struct node *n, const struct run *run) {
  struct cuda *cuda = cuda_of(run);
  struct hyper_state *s = static_cast<struct hyper_state *>(calloc(1, sizeof *s));
  enum status st = OK;
  if (!s) return fail(E_MEMORY, "out of memory for hyper_bilinear");
  n->state = s;
  n->out->layout.element = s->factor = cuda_factor(cuda);
  s->batch = n->out->shape.dim[0], s->d = n->out->shape.dim[1], s->k = n->in[HYPER_T]->shape.dim[1];
  s->slab = SLAB / s->k < 1 ? 1 : SLAB / s->k < s->d ? SLAB / s->k : s->d;
  s->stride = (s->slab * s->k + CUDA_LANES - 1) / CUDA_LANES * CUDA_LANES;
  TRY(cuda_need_blas(cuda));
  TRY(open_products(n, cuda, s->slab, &s->whole));
  if (s->d % s->slab) TRY(open_products(n, cuda, s->d % s->slab, &s->last));
  plan_memory(n);
out:
  return st;
}

/* --- Running --- */

/* Some values of i, and what is done with them. */
struct slab {
  int64_t first, count;
  const struct products *products;
};

static struct slab slab_at(const struct hyper_state *s, int64_t first) {
  if (first + s->slab <= s->d) return {first, s->slab, &s->whole};
  return {first, s->d - first, &s->last};
}

/* The next piece of scratch. */
static void *carve(char **room, size_t bytes) {
  void *piece = *room;
  *room += bytes;
  return piece;
}

/* W in the type that is multiplied. */
static enum status take_w(const struct node *n, struct cuda *cuda, char **room, const char **w) {
  const struct hyper_state *s = state_of(n);
  const struct tensor *t = n->in[HYPER_W];
  *w = static_cast<const char *>(s->w_bytes ? carve(room, s->w_bytes) : t->data);
  if (!s->w_bytes) return OK;
  const int64_t count = s->d * s->d * s->k;
  return cuda_convert(cuda, const_cast<char *>(*w), s->factor, t->data, t->layout.element, count, count,
                      false);
}

static enum status make_p(const struct node *n, struct cuda *cuda, const struct slab *slab, void *p) {
  const struct hyper_state *s = state_of(n);
  const struct tensor *t = n->in[HYPER_T], *r = n->in[HYPER_R];
  struct span to = {p, s->factor};
  return launch(form_products, cuda_grid(s->batch * s->stride / CUDA_LANES), CUDA_THREADS, 0, cuda, to,
                data_of(t), data_of(r), s->batch, s->stride, slab->count * s->k, slab->first, s->d, s->k);
}

/* Column first * k of a matrix of W's shape. */
static const char *columns_at(const struct hyper_state *s, const char *w, int64_t first,
                              enum element element) {
  return w + static_cast<size_t>(first * s->k) * cuda_element_bytes(element);
}

static enum status forward(struct node *n, const struct run *run) {
  const struct hyper_state *s = state_of(n);
  struct cuda *cuda = cuda_of(run);
  struct tensor *y = n->out;
  char *room = static_cast<char *>(n->scratch_f);
  const char *w;
  enum status st = take_w(n, cuda, &room, &w);
  void *p = carve(&room, s->p_bytes), *sums = s->out_bytes ? carve(&room, s->out_bytes) : y->data;
  for (int64_t first = 0; first < s->d && st == OK; first += s->slab) {
    struct slab slab = slab_at(s, first);
    struct matmul_call call = {p, columns_at(s, w, first, s->factor), nullptr, sums, room, first > 0};
    st = make_p(n, cuda, &slab, p);
    if (st == OK) st = matmul_run(slab.products->forward, cuda->stream, &call);
  }
  if (st != OK || !s->out_bytes) return st;
  return cuda_convert(cuda, y->data, y->layout.element, sums, ELEMENT_OWN, s->batch * s->d, s->batch * s->d,
                      false);
}

static enum status backward_w(const struct node *n, struct cuda *cuda) {
  const struct hyper_state *s = state_of(n);
  const enum element element = n->in[HYPER_W]->layout.element;
  char *room = static_cast<char *>(n->scratch_b), *dw = static_cast<char *>(n->in_grad[HYPER_W]);
  void *p = carve(&room, s->p_bytes);
  enum status st = OK;
  for (int64_t first = 0; first < s->d && st == OK; first += s->slab) {
    struct slab slab = slab_at(s, first);
    struct matmul_call call = {
        n->out->grad, p, nullptr, const_cast<char *>(columns_at(s, dw, first, element)), room, false};
    st = make_p(n, cuda, &slab, p);
    if (st == OK) st = matmul_run(slab.products->weights, cuda->stream, &call);
  }
  return st;
}

/* dr of these i, and their part of dt. */
static enum status reduce_q(const struct node *n, struct cuda *cuda, const struct slab *slab, const float *q,
                            float *dt) {
  const struct hyper_state *s = state_of(n);
  const struct tensor *t = n->in[HYPER_T], *r = n->in[HYPER_R];
  enum status st = OK;
  if (n->in_grad[HYPER_R])
    st = launch(sum_over_k, cuda_grid(s->batch * slab->count * 32), CUDA_THREADS, 0, cuda,
                span_of(r, n->in_grad[HYPER_R]), data_of(t), q, s->batch, s->stride, slab->count, slab->first,
                s->d, s->k);
  if (st == OK && dt)
    st = launch(sum_over_i, cuda_grid(s->batch * s->k), CUDA_THREADS, 0, cuda, dt, data_of(r), q, s->batch,
                s->stride, slab->count, slab->first, s->d, s->k);
  return st;
}

static enum status backward_t_r(const struct node *n, struct cuda *cuda) {
  const struct hyper_state *s = state_of(n);
  char *room = static_cast<char *>(n->scratch_b);
  const char *w;
  enum status st = take_w(n, cuda, &room, &w);
  float *q = static_cast<float *>(carve(&room, s->q_bytes));
  void *result = n->in_grad[HYPER_T], *dt = result && s->dt_bytes ? carve(&room, s->dt_bytes) : result;
  for (int64_t first = 0; first < s->d && st == OK; first += s->slab) {
    struct slab slab = slab_at(s, first);
    struct matmul_call call = {n->out->grad, columns_at(s, w, first, s->factor), nullptr, q, room, false};
    st = matmul_run(slab.products->q, cuda->stream, &call);
    if (st == OK) st = reduce_q(n, cuda, &slab, q, static_cast<float *>(dt));
  }
  if (st != OK || dt == result) return st;
  const int64_t count = s->batch * s->k;
  return cuda_convert(cuda, result, n->in[HYPER_T]->layout.element, dt, ELEMENT_OWN, count, count, false);
}

static enum status backward(struct node *n, const struct run *run) {
  enum status st = OK;
  if (n->in_grad[HYPER_W]) TRY(backward_w(n, cuda_of(run)));
  if (n->in_grad[HYPER_T] || n->in_grad[HYPER_R]) TRY(backward_t_r(n, cuda_of(run)));
out:
  return st;
}

static void release(struct node *n) {
  struct hyper_state *s = state_of(n);
  if (!s) return;
  for (struct products *p : {&s->whole, &s->last}) {
    matmul_close(&p->forward);
    matmul_close(&p->weights);
    matmul_close(&p->q);
  }
  free(s);
}

CUDA_KERNEL(hyper_bilinear) = {.op = "hyper_bilinear",
                               .backend = "cuda",
                               .prepare = prepare,
                               .forward = forward,
                               .backward = backward,
                               .release = release};
