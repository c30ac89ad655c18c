/* A thread sums a vector of channels over its image, pixel by pixel. */
#include "nn/cuda/launch.cuh"

namespace {

struct pooled {
  int64_t channels, lanes, area; /* lanes: vectors per pixel */
  struct divisor by_lanes, by_area;
};

static __global__ void pool(struct span y, struct span x, struct pooled p, int64_t items) {
  int64_t i = item();
  if (i >= items) return;
  int64_t image = i / p.lanes, lane = i % p.lanes;
  struct vector sum = {};
  for (int64_t pixel = 0; pixel < p.area; pixel++) {
    struct vector v = load_vector(x, (image * p.area + pixel) * p.lanes + lane);
    for (int k = 0; k < CUDA_LANES; k++) sum.lane[k] += v.lane[k];
  }
  for (int k = 0; k < CUDA_LANES && lane * CUDA_LANES + k < p.channels; k++)
    store(y, image * p.channels + lane * CUDA_LANES + k, sum.lane[k] / static_cast<float>(p.area));
}

static __global__ void spread(struct span dx, struct span dy, struct pooled p, uint32_t vectors) {
  const uint32_t i = static_cast<uint32_t>(item());
  if (i >= vectors) return;
  const int64_t image = quotient(quotient(i, p.by_lanes), p.by_area), lane = remainder_of(i, p.by_lanes),
                from = image * p.channels + lane * CUDA_LANES;
  const float share = 1 / static_cast<float>(p.area);
  struct vector v = {}; /* zeros in the channels that only pad */
  if (p.channels % CUDA_LANES == 0) {
    v = load_vector(dy, from / CUDA_LANES);
  } else {
    for (int k = 0; k < CUDA_LANES && lane * CUDA_LANES + k < p.channels; k++) v.lane[k] = load(dy, from + k);
  }
  for (int k = 0; k < CUDA_LANES; k++) v.lane[k] *= share;
  store_vector(dx, i, v);
}

static struct pooled pooled_of(const struct node *n) {
  const struct tensor *x = n->in[0];
  const int64_t lanes = x->layout.block / CUDA_LANES, area = x->shape.dim[2] * x->shape.dim[3];
  return {x->shape.dim[1], lanes, area, divisor_of(lanes), divisor_of(area)};
}

static enum status prepare(struct node *n, const struct run *) { return cuda_countable(n->in[0]); }

static enum status forward(struct node *n, const struct run *run) {
  struct pooled p = pooled_of(n);
  int64_t items = n->in[0]->shape.dim[0] * p.lanes;
  return launch_items(items, pool, cuda_of(run), data_of(n->out), data_of(n->in[0]), p, items);
}

static enum status backward(struct node *n, const struct run *run) {
  uint32_t vectors = static_cast<uint32_t>(vectors_of(n->in[0]));
  return launch_items(vectors, spread, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out),
                      pooled_of(n), vectors);
}

} // namespace

CUDA_KERNEL(avg_pool_global) = {
    .op = "avg_pool_global", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
