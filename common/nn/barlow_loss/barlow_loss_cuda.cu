/* The correlation and its two gradients are products by cuBLASLt, of float32 standardised by column: in bfloat16 a
 * correlation near 1 would not be told from 1. */
#include <stdlib.h>

#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/barlow_loss/barlow_loss.h"
#include "nn/cuda/matmul.h"
}

namespace {

/* saved: z^ [2][N,D], 1/sd [2][D], then C [D,D], of which backward makes dC; behind it whatever begins whole. */
struct parts {
  float *z[2], *scale[2], *c;
  int64_t n, d;
};

struct products {
  struct matmul *correlation, *first, *second; /* first, second: backward, NULL when not wanted */
};

static size_t saved_bytes(const struct node *n) {
  size_t rows = static_cast<size_t>(n->in[0]->shape.dim[0]), d = static_cast<size_t>(n->in[0]->shape.dim[1]);
  return 2 * cuda_whole(rows * d * sizeof(float)) + 2 * cuda_whole(d * sizeof(float)) +
         cuda_whole(d * d * sizeof(float));
}

static size_t gradient_bytes(const struct node *n) {
  return cuda_whole(static_cast<size_t>(shape_count(n->in[0]->shape)) * sizeof(float));
}

static float *take(char **room, int64_t count) {
  float *taken = reinterpret_cast<float *>(*room);
  *room += cuda_whole(static_cast<size_t>(count) * sizeof(float));
  return taken;
}

static struct parts parts_of(const struct node *n, void *saved) {
  struct parts p = {};
  char *room = static_cast<char *>(saved);
  p.n = n->in[0]->shape.dim[0];
  p.d = n->in[0]->shape.dim[1];
  for (int side = 0; side < 2; side++) p.z[side] = take(&room, p.n * p.d);
  for (int side = 0; side < 2; side++) p.scale[side] = take(&room, p.d);
  p.c = take(&room, p.d * p.d);
  return p;
}

static size_t workspace(const struct matmul *product) { return product ? matmul_workspace(product) : 0; }

static enum status open_products(struct node *n, struct cuda *cuda, struct products *s) {
  const int64_t rows = n->in[0]->shape.dim[0], d = n->in[0]->shape.dim[1];
  struct matmul_shape shape = {};
  shape.in = cuda->precision == PRECISION_F32 ? NUMBER_F32 : NUMBER_TF32;
  shape.out = NUMBER_F32;
  shape.columns = d;
  shape.rows = d;
  shape.inner = rows;
  shape.a_transposed = true;
  enum status st = matmul_open(&s->correlation, cuda->blas, &shape);
  shape.rows = rows;
  shape.inner = d;
  shape.a_transposed = false;
  if (st == OK && node_differentiates(n, 1)) st = matmul_open(&s->second, cuda->blas, &shape);
  shape.b_transposed = true;
  if (st == OK && node_differentiates(n, 0)) st = matmul_open(&s->first, cuda->blas, &shape);
  return st;
}

static enum status prepare(struct node *n, const struct run *run) {
  struct products *s = static_cast<struct products *>(calloc(1, sizeof *s));
  enum status st = OK;
  size_t back;
  if (!s) return fail(E_MEMORY, "out of memory for a Barlow Twins loss");
  n->state = s;
  TRY(cuda_need_blas(cuda_of(run)));
  TRY(open_products(n, cuda_of(run), s));
  back = workspace(s->first) > workspace(s->second) ? workspace(s->first) : workspace(s->second);
  n->saved_bytes = n->out->wants_grad ? saved_bytes(n) : 0;
  n->forward_scratch = (n->out->wants_grad ? 0 : saved_bytes(n)) +
                       cuda_whole(static_cast<size_t>(n->in[0]->shape.dim[1]) * sizeof(float)) +
                       workspace(s->correlation);
  n->backward_scratch = gradient_bytes(n) + back;
out:
  return st;
}

static void release(struct node *n) {
  struct products *s = static_cast<struct products *>(n->state);
  if (!s) return;
  matmul_close(&s->correlation);
  matmul_close(&s->first);
  matmul_close(&s->second);
  free(s);
}

/* --- Forward -------------------------------------------------------------------------------------------- */

/* z^ = (z - mean) / sd by column */
static __global__ void standardise(struct span z, float *to, float *scale, int64_t n, int64_t d, float eps) {
  int64_t k = block_column(), first = threadIdx.x / CUDA_WARP;
  float sum = 0, squares = 0;
  for (int64_t i = first; i < n && k < d; i += CUDA_WARPS) sum += load(z, i * d + k);
  float mean = column_sum(sum) / static_cast<float>(n);
  for (int64_t i = first; i < n && k < d; i += CUDA_WARPS) {
    float off = load(z, i * d + k) - mean;
    squares += off * off;
  }
  float inverse = 1 / sqrtf(column_sum(squares) / static_cast<float>(n) + eps);
  for (int64_t i = first; i < n && k < d; i += CUDA_WARPS)
    to[i * d + k] = (load(z, i * d + k) - mean) * inverse;
  if (first == 0 && k < d) scale[k] = inverse;
}

/* Row i of C, which comes as a sum over n, and its part of the loss. */
static __global__ void row_losses(float *losses, float *c, int64_t n, int64_t d, float off_diagonal) {
  int64_t i = warp_row();
  if (i >= d) return;
  float loss = 0;
  for (int64_t j = lane(); j < d; j += CUDA_WARP) {
    float x = c[i * d + j] / static_cast<float>(n);
    c[i * d + j] = x;
    loss += i == j ? (1 - x) * (1 - x) : off_diagonal * x * x;
  }
  loss = warp_sum(loss);
  if (lane() == 0) losses[i] = loss;
}

static enum status forward(struct node *n, const struct run *run) {
  const struct barlow_loss_attr *a = static_cast<const struct barlow_loss_attr *>(n->attr);
  struct products *s = static_cast<struct products *>(n->state);
  struct cuda *cuda = cuda_of(run);
  char *room = static_cast<char *>(n->scratch_f);
  void *saved = n->saved ? n->saved : room;
  if (!n->saved) room += saved_bytes(n);
  struct parts p = parts_of(n, saved);
  float *losses = take(&room, p.d);
  struct matmul_call call = {};
  enum status st = OK;
  for (int side = 0; side < 2; side++)
    TRY(launch(standardise, cuda_column_grid(p.d), CUDA_THREADS, 0, cuda, data_of(n->in[side]), p.z[side],
               p.scale[side], p.n, p.d, static_cast<float>(a->eps)));
  call.a = p.z[0];
  call.b = p.z[1];
  call.c = p.c;
  call.workspace = room;
  TRY(matmul_run(s->correlation, cuda->stream, &call));
  TRY(launch(row_losses, cuda_row_grid(p.d), CUDA_THREADS, 0, cuda, losses, p.c, p.n, p.d,
             static_cast<float>(a->off_diagonal)));
  TRY(cuda_total(cuda, data_of(n->out), losses, p.d, 0, 1));
out:
  return st;
}

/* --- Backward ------------------------------------------------------------------------------------------- */

/* Row i of dC / N: dC_ii = 2 (C_ii - 1), dC_ij = 2 off_diagonal C_ij */
static __global__ void differentiate(float *c, struct span loss_grad, int64_t n, int64_t d,
                                     float off_diagonal) {
  int64_t i = warp_row();
  if (i >= d) return;
  float scale = 2 * load(loss_grad, 0) / static_cast<float>(n);
  for (int64_t j = lane(); j < d; j += CUDA_WARP) {
    float x = c[i * d + j];
    c[i * d + j] = scale * (i == j ? x - 1 : off_diagonal * x);
  }
}

/* dz = (dz^ - mean(dz^) - z^ mean(dz^ z^)) / sd, by column */
static __global__ void through_standardisation(struct span dz, const float *g, const float *z,
                                               const float *scale, int64_t n, int64_t d) {
  int64_t k = block_column(), first = threadIdx.x / CUDA_WARP;
  float sum = 0, dot = 0;
  for (int64_t i = first; i < n && k < d; i += CUDA_WARPS) {
    sum += g[i * d + k];
    dot += g[i * d + k] * z[i * d + k];
  }
  sum = column_sum(sum) / static_cast<float>(n);
  dot = column_sum(dot) / static_cast<float>(n);
  for (int64_t i = first; i < n && k < d; i += CUDA_WARPS)
    store(dz, i * d + k, (g[i * d + k] - sum - z[i * d + k] * dot) * scale[k]);
}

/* dz1^ = z2^ dC^T / N, dz2^ = z1^ dC / N */
static enum status backward_side(struct node *n, const struct run *run, const struct parts &p, int side) {
  struct products *s = static_cast<struct products *>(n->state);
  char *room = static_cast<char *>(n->scratch_b);
  float *g = take(&room, p.n * p.d);
  struct matmul_call call = {};
  call.a = p.z[1 - side];
  call.b = p.c;
  call.c = g;
  call.workspace = room;
  enum status st = matmul_run(side == 0 ? s->first : s->second, cuda_of(run)->stream, &call);
  if (st != OK) return st;
  return launch(through_standardisation, cuda_column_grid(p.d), CUDA_THREADS, 0, cuda_of(run),
                span_of(n->in[side], n->in_grad[side]), g, p.z[side], p.scale[side], p.n, p.d);
}

static enum status backward(struct node *n, const struct run *run) {
  const struct barlow_loss_attr *a = static_cast<const struct barlow_loss_attr *>(n->attr);
  struct parts p = parts_of(n, n->saved);
  enum status st = OK;
  TRY(launch(differentiate, cuda_row_grid(p.d), CUDA_THREADS, 0, cuda_of(run), p.c, grad_of(n->out), p.n, p.d,
             static_cast<float>(a->off_diagonal)));
  for (int side = 0; side < 2; side++)
    if (n->in_grad[side]) TRY(backward_side(n, run, p, side));
out:
  return st;
}

} // namespace

CUDA_KERNEL(barlow_loss) = {.op = "barlow_loss",
                            .backend = "cuda",
                            .prepare = prepare,
                            .forward = forward,
                            .backward = backward,
                            .release = release};
