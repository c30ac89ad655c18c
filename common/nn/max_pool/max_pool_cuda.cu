/* Forward writes down which place of its window won, a byte per output, so that backward reads neither x nor y: every
 * input looks whether it won the windows that it lies in. */
#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/max_pool/max_pool.h"
}

namespace {

struct pooling {
  int64_t kernel, stride, pad, height, width, out_height, out_width; /* x and y are NHWC */
  int64_t vectors;                                                   /* per pixel */
};

static struct pooling pooling_of(const struct node *n) {
  const struct max_pool_attr *a = static_cast<const struct max_pool_attr *>(n->attr);
  const int64_t *in = n->in[0]->shape.dim, *out = n->out->shape.dim;
  return {a->kernel, a->stride, a->pad, in[2], in[3], out[2], out[3], n->out->layout.block / CUDA_LANES};
}

/* Places of the winners in their windows, row-major, one byte per lane. */
typedef uint64_t places;
static_assert(sizeof(places) == CUDA_LANES, "a byte per lane");

static enum status prepare(struct node *n, const struct run *) {
  const struct max_pool_attr *a = static_cast<const struct max_pool_attr *>(n->attr);
  if (a->kernel * a->kernel > 256)
    return fail(E_ARG, "max_pool: windows of %lld pixels; on cuda at most 16", (long long)a->kernel);
  if (n->out->wants_grad) n->saved_bytes = static_cast<size_t>(vectors_of(n->out)) * sizeof(places);
  return OK;
}

/* Vector i of a tensor of `height` x `width` pixels. */
struct place {
  int64_t image, h, w, vector;
};

static __device__ __forceinline__ struct place place_of(int64_t i, int64_t vectors, int64_t height,
                                                        int64_t width) {
  int64_t pixel = i / vectors;
  return {pixel / width / height, pixel / width % height, pixel % width, i % vectors};
}

static __global__ void pool(struct span y, places *winners, struct span x, struct pooling p,
                            int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct place at = place_of(i, p.vectors, p.out_height, p.out_width);
  struct vector best = {};
  places won = 0;
  bool first = true;
  for (int64_t k = 0; k < p.kernel * p.kernel; k++) {
    int64_t h = at.h * p.stride - p.pad + k / p.kernel, w = at.w * p.stride - p.pad + k % p.kernel;
    if (h < 0 || h >= p.height || w < 0 || w >= p.width) continue;
    struct vector v = load_vector(x, ((at.image * p.height + h) * p.width + w) * p.vectors + at.vector);
    for (int lane = 0; lane < CUDA_LANES; lane++) {
      if (!first && !(v.lane[lane] > best.lane[lane])) continue;
      best.lane[lane] = v.lane[lane];
      won = (won & ~(places{0xff} << 8 * lane)) | static_cast<places>(k) << 8 * lane;
    }
    first = false;
  }
  store_vector(y, i, best);
  if (winners) winners[i] = won;
}

static __global__ void hand_back(struct span dx, struct span dy, const places *winners, struct pooling p,
                                 int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct place at = place_of(i, p.vectors, p.height, p.width);
  struct vector sum = {};
  for (int64_t k = 0; k < p.kernel * p.kernel; k++) {
    /* the window in which this pixel is number k */
    int64_t h = at.h + p.pad - k / p.kernel, w = at.w + p.pad - k % p.kernel;
    if (h < 0 || w < 0 || h % p.stride || w % p.stride) continue;
    h /= p.stride;
    w /= p.stride;
    if (h >= p.out_height || w >= p.out_width) continue;
    int64_t from = ((at.image * p.out_height + h) * p.out_width + w) * p.vectors + at.vector;
    struct vector g = load_vector(dy, from);
    places won = winners[from];
    for (int lane = 0; lane < CUDA_LANES; lane++)
      if (static_cast<int64_t>(won >> 8 * lane & 0xff) == k) sum.lane[lane] += g.lane[lane];
  }
  store_vector(dx, i, sum);
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->out);
  return launch(pool, cuda_grid(vectors), CUDA_THREADS, 0, cuda_of(run), data_of(n->out),
                static_cast<places *>(n->saved), data_of(n->in[0]), pooling_of(n), vectors);
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->in[0]);
  return launch(hand_back, cuda_grid(vectors), CUDA_THREADS, 0, cuda_of(run),
                span_of(n->in[0], n->in_grad[0]), grad_of(n->out), static_cast<const places *>(n->saved),
                pooling_of(n), vectors);
}

} // namespace

CUDA_KERNEL(max_pool) = {
    .op = "max_pool", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
