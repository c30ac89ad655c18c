/* With W seen as [o, (i,k)], its order in memory, and P[b, (i,k)] = r[b,i] t[b,k]:
 *   out = P W^T,  dW = g^T P,  Q = g W,  dr[b,i] = sum_k t[b,k] Q[b,i,k],  dt[b,k] = sum_i r[b,i] Q[b,i,k].
 * P and Q are made a slab of columns at a time, so that their memory does not grow with D; at the paper's sizes one
 * slab is all. Sums over slabs and Q are float32; P has the type that is multiplied. */
#include "nn/cuda/reduce.cuh"

#include <initializer_list>
#include <stdlib.h>

extern "C" {
#include "nn/cuda/matmul.h"
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
  /* Of scratch: P, Q, and sums over slabs where their results are not float32. */
  size_t p_bytes, q_bytes, out_bytes, dt_bytes, parts_bytes, workspace;
};

/* --- Kernels --- */

/* A vector of P, of columns [first * k, first * k + columns), in row blockIdx.x. */
static __global__ void form_products(struct span p, struct span t, struct span r, int64_t stride,
                                     int64_t columns, int64_t first, int64_t d, struct divisor by_k) {
  const int64_t b = blockIdx.x, k = by_k.by;
  const unsigned column = (blockIdx.y * CUDA_THREADS + threadIdx.x) * CUDA_LANES;
  if (column >= stride) return; /* from `columns` to there: zeros */
  int64_t i = b * d + first + quotient(column, by_k), at = remainder_of(column, by_k);
  struct vector v = {};
  if (k % CUDA_LANES == 0 && column < columns) {
    v = load_vector(t, (b * k + at) / CUDA_LANES);
    const float factor = load(r, i);
    for (int lane = 0; lane < CUDA_LANES; lane++) v.lane[lane] *= factor;
  } else {
    for (int lane = 0; lane < CUDA_LANES && column + lane < columns; lane++) {
      v.lane[lane] = load(r, i) * load(t, b * k + at);
      if (++at == k) at = 0, i++;
    }
  }
  store_vector(p, (b * stride + column) / CUDA_LANES, v);
}

/* Q is read once: a block takes PART values of i of a sample and WIDE of k at a time, a warp every eighth i, of which AHEAD
 * are under way together. */
enum { PART = 64, PER_LANE = 4, WIDE = PER_LANE * CUDA_WARP, AHEAD = 4, TALL = AHEAD * CUDA_WARPS };

struct q_slab {
  const float *q;
  int64_t batch, stride, count, first, d, k; /* values of i: `count` from `first` on */
};

/* dr of the block's values of i, from all k; and their part of dt, [parts, batch, k]. Either may be NULL. */
static __global__ void reduce_q(struct span dr, float *dt_parts, struct span t, struct span r,
                                struct q_slab s) {
  __shared__ float of_i[PART];
  const int64_t b = blockIdx.x, begin = static_cast<int64_t>(blockIdx.y) * PART;
  const int warp = static_cast<int>(threadIdx.x) / CUDA_WARP,
            count = static_cast<int>(s.count - begin < PART ? s.count - begin : int64_t{PART});
  const float *q = s.q + b * s.stride + begin * s.k;
  const int64_t r_at = b * s.d + s.first + begin;
  for (int i = warp; i < PART && lane() == 0; i += CUDA_WARPS) of_i[i] = 0;
  for (int64_t k = lane(); k - lane() < s.k; k += WIDE) {
    float of_k[PER_LANE], sum[PER_LANE] = {};
    for (int c = 0; c < PER_LANE; c++)
      of_k[c] = k + c * CUDA_WARP < s.k ? load(t, b * s.k + k + c * CUDA_WARP) : 0;
    for (int i = warp; i < count; i += TALL) {
      float value[AHEAD][PER_LANE], factor[AHEAD];
      for (int a = 0; a < AHEAD; a++) {
        const int row = i + a * CUDA_WARPS;
        factor[a] = row < count ? load(r, r_at + row) : 0;
        for (int c = 0; c < PER_LANE; c++)
          value[a][c] = row < count && k + c * CUDA_WARP < s.k ? q[row * s.k + k + c * CUDA_WARP] : 0;
      }
      for (int a = 0; a < AHEAD; a++) {
        float dot = 0;
        for (int c = 0; c < PER_LANE; c++) {
          dot += of_k[c] * value[a][c];
          sum[c] += factor[a] * value[a][c];
        }
        dot = warp_sum(dot);
        if (lane() == 0 && i + a * CUDA_WARPS < count) of_i[i + a * CUDA_WARPS] += dot;
      }
    }
    for (int c = 0; c < PER_LANE && dt_parts; c++) {
      sum[c] = column_sum(sum[c]);
      if (warp == 0 && k + c * CUDA_WARP < s.k)
        dt_parts[(blockIdx.y * s.batch + b) * s.k + k + c * CUDA_WARP] = sum[c];
    }
  }
  __syncthreads();
  if (dr.data && static_cast<int>(threadIdx.x) < count) store(dr, r_at + threadIdx.x, of_i[threadIdx.x]);
}

/* to = before + the parts, in their order; before NULL: 0 */
static __global__ void add_parts(struct span to, const float *before, const float *dt_parts, int64_t parts,
                                 int64_t items) {
  const int64_t i = item();
  if (i >= items) return;
  float sum = before ? before[i] : 0;
  for (int64_t part = 0; part < parts; part++) sum += dt_parts[part * items + i];
  store(to, i, sum);
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

static int64_t parts_of(int64_t count) { return (count + PART - 1) / PART; }

static size_t float_bytes(int64_t count) { return cuda_whole(static_cast<size_t>(count) * sizeof(float)); }

static void plan_memory(struct node *n) {
  struct hyper_state *s = state_of(n);
  const size_t number = cuda_element_bytes(s->factor);
  s->p_bytes = cuda_whole(static_cast<size_t>(s->batch * s->stride) * number);
  s->q_bytes = s->whole.q ? float_bytes(s->batch * s->stride) : 0;
  s->out_bytes = n->out->layout.element == ELEMENT_OWN ? 0 : float_bytes(s->batch * s->d);
  s->dt_bytes = n->in[HYPER_T]->layout.element == ELEMENT_OWN ? 0 : float_bytes(s->batch * s->k);
  s->parts_bytes = s->whole.q ? float_bytes(parts_of(s->slab) * s->batch * s->k) : 0;
  const size_t whole = workspace_of(&s->whole), last = workspace_of(&s->last);
  s->workspace = whole > last ? whole : last;
  n->forward_scratch = s->p_bytes + s->out_bytes + s->workspace;
  n->backward_scratch = s->p_bytes + s->q_bytes + s->parts_bytes + s->dt_bytes + s->workspace;
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
  TRY(cuda_want_form(cuda, n->in[HYPER_W], s->factor, s->d * s->d * s->k));
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
static const char *w_of(const struct node *n) {
  return static_cast<const char *>(cuda_factor_at(n->in[HYPER_W]));
}

static enum status make_p(const struct node *n, struct cuda *cuda, const struct slab *slab, void *p) {
  const struct hyper_state *s = state_of(n);
  const struct tensor *t = n->in[HYPER_T], *r = n->in[HYPER_R];
  struct span to = {p, s->factor};
  const int64_t vectors = s->stride / CUDA_LANES;
  const dim3 grid(static_cast<unsigned>(s->batch), cuda_grid(vectors).x);
  return launch(form_products, grid, CUDA_THREADS, 0, cuda, to, data_of(t), data_of(r), s->stride,
                slab->count * s->k, slab->first, s->d, divisor_of(s->k));
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
  const char *w = w_of(n);
  enum status st = cuda_make_factors(cuda, n);
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

/* dr of these i, and their part of dt, which goes to `to` with what is there `before`. */
static enum status take_q(const struct node *n, struct cuda *cuda, const struct slab *slab, const float *q,
                          float *dt_parts, struct span to, const float *before) {
  const struct hyper_state *s = state_of(n);
  const struct tensor *t = n->in[HYPER_T], *r = n->in[HYPER_R];
  const int64_t parts = parts_of(slab->count), items = s->batch * s->k;
  const dim3 grid(static_cast<unsigned>(s->batch), static_cast<unsigned>(parts));
  const struct q_slab all = {q, s->batch, s->stride, slab->count, slab->first, s->d, s->k};
  enum status st = OK;
  TRY(launch(reduce_q, grid, CUDA_THREADS, 0, cuda, span_of(r, n->in_grad[HYPER_R]),
             to.data ? dt_parts : nullptr, data_of(t), data_of(r), all));
  if (to.data) TRY(launch_items(items, add_parts, cuda, to, before, dt_parts, parts, items));
out:
  return st;
}

static enum status backward_t_r(const struct node *n, struct cuda *cuda) {
  const struct hyper_state *s = state_of(n);
  char *room = static_cast<char *>(n->scratch_b);
  const char *w = w_of(n);
  enum status st = OK;
  float *q = static_cast<float *>(carve(&room, s->q_bytes)),
        *dt_parts = static_cast<float *>(carve(&room, s->parts_bytes));
  void *result = n->in_grad[HYPER_T], *sums = s->dt_bytes ? carve(&room, s->dt_bytes) : result;
  for (int64_t first = 0; first < s->d && st == OK; first += s->slab) {
    struct slab slab = slab_at(s, first);
    struct matmul_call call = {n->out->grad, columns_at(s, w, first, s->factor), nullptr, q, room, false};
    struct span dt = {result ? sums : nullptr, ELEMENT_OWN};
    if (first + s->slab >= s->d) dt = span_of(n->in[HYPER_T], result);
    st = matmul_run(slab.products->q, cuda->stream, &call);
    if (st == OK)
      st = take_q(n, cuda, &slab, q, dt_parts, dt, first > 0 ? static_cast<const float *>(sums) : nullptr);
  }
  return st;
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
