/* A warp per row, both ways. */
#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/cosine_loss/cosine_loss.h"
}

namespace {

struct rows {
  struct span p, z;
  int64_t n, d;
  float min_norm;
};

static struct rows rows_of(const struct node *n) {
  const struct cosine_loss_attr *a = static_cast<const struct cosine_loss_attr *>(n->attr);
  return {data_of(n->in[0]), data_of(n->in[1]), n->in[0]->shape.dim[0], n->in[0]->shape.dim[1],
          static_cast<float>(a->min_norm)};
}

static enum status prepare(struct node *n, const struct run *) {
  n->keep_in = 1 | 2;
  n->forward_scratch = static_cast<size_t>(n->in[0]->shape.dim[0]) * sizeof(float);
  return OK;
}

struct angle {
  float cosine, p_norm, z_norm;
};

static __device__ __forceinline__ struct angle angle_of(const struct rows &r, int64_t row) {
  float pp = 0, zz = 0, pz = 0;
  for (int64_t k = row * r.d + lane(); k < (row + 1) * r.d; k += CUDA_WARP) {
    float p = load(r.p, k), z = load(r.z, k);
    pp += p * p;
    zz += z * z;
    pz += p * z;
  }
  float p_norm = fmaxf(sqrtf(warp_sum(pp)), r.min_norm), z_norm = fmaxf(sqrtf(warp_sum(zz)), r.min_norm);
  return {warp_sum(pz) / (p_norm * z_norm), p_norm, z_norm};
}

static __global__ void cosines(float *cosine, struct rows r) {
  int64_t row = warp_row();
  if (row >= r.n) return;
  struct angle a = angle_of(r, row);
  if (lane() == 0) cosine[row] = a.cosine;
}

/* dp = -scale / N (z/|z| - cos p/|p|) / |p| */
static __global__ void gradient(struct span dp, struct span loss_grad, struct rows r, float scale) {
  int64_t row = warp_row();
  if (row >= r.n) return;
  struct angle a = angle_of(r, row);
  float factor = -scale * load(loss_grad, 0) / (static_cast<float>(r.n) * a.p_norm);
  for (int64_t k = row * r.d + lane(); k < (row + 1) * r.d; k += CUDA_WARP)
    store(dp, k, factor * (load(r.z, k) / a.z_norm - a.cosine * load(r.p, k) / a.p_norm));
}

static enum status forward(struct node *n, const struct run *run) {
  const struct cosine_loss_attr *a = static_cast<const struct cosine_loss_attr *>(n->attr);
  struct rows r = rows_of(n);
  float *cosine = static_cast<float *>(n->scratch_f);
  enum status st = launch(cosines, cuda_row_grid(r.n), CUDA_THREADS, 0, cuda_of(run), cosine, r);
  if (st != OK) return st;
  return cuda_total(cuda_of(run), data_of(n->out), cosine, r.n, a->offset,
                    -a->scale / static_cast<double>(r.n));
}

static enum status backward(struct node *n, const struct run *run) {
  const struct cosine_loss_attr *a = static_cast<const struct cosine_loss_attr *>(n->attr);
  struct rows r = rows_of(n);
  if (!n->in_grad[0]) return OK;
  return launch(gradient, cuda_row_grid(r.n), CUDA_THREADS, 0, cuda_of(run), span_of(n->in[0], n->in_grad[0]),
                grad_of(n->out), r, static_cast<float>(a->scale));
}

} // namespace

CUDA_KERNEL(cosine_loss) = {
    .op = "cosine_loss", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
