/* A thread moves a vector of channels. */
#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/rotations/rotations.h"
}

namespace {

/* Where pixel (r, c) of an image [S, S] turned k times comes from. The turn back from k is 4 - k. */
static __device__ __forceinline__ int origin(int k, int s, int r, int c) {
  switch (k) {
  case 0: return r * s + c;
  case 1: return c * s + s - 1 - r;
  case 2: return (s - 1 - r) * s + s - 1 - c;
  default: return (s - 1 - c) * s + r;
  }
}

struct square_images {
  int n, side, lanes; /* lanes: vectors per pixel */
  struct divisor by_n, by_side, by_lanes;
};

/* Vector i of [n, side, side, lanes], taken apart. */
struct place {
  int image, row, column, lane;
};
static __device__ __forceinline__ struct place place_of(const struct square_images &m, uint32_t i) {
  const uint32_t pixel = quotient(i, m.by_lanes), line = quotient(pixel, m.by_side);
  return {static_cast<int>(quotient(line, m.by_side)), static_cast<int>(remainder_of(line, m.by_side)),
          static_cast<int>(remainder_of(pixel, m.by_side)), static_cast<int>(remainder_of(i, m.by_lanes))};
}

static __global__ void turn(struct span y, struct span x, struct square_images in, uint32_t vectors) {
  const uint32_t i = static_cast<uint32_t>(item());
  if (i >= vectors) return;
  const struct place p = place_of(in, i);
  const uint32_t image = static_cast<uint32_t>(p.image);
  const int from = origin(static_cast<int>(quotient(image, in.by_n)), in.side, p.row, p.column),
            of_image = static_cast<int>(remainder_of(image, in.by_n)) * in.side * in.side;
  store_vector(y, i, load_vector(x, (of_image + from) * in.lanes + p.lane));
}

static __global__ void turn_back(struct span dx, struct span dy, struct square_images in, uint32_t vectors) {
  const uint32_t i = static_cast<uint32_t>(item());
  if (i >= vectors) return;
  const struct place p = place_of(in, i);
  struct vector sum = {};
  for (int k = 0; k < N_ROTATIONS; k++) {
    const int to = origin((N_ROTATIONS - k) % N_ROTATIONS, in.side, p.row, p.column),
              of_image = (k * in.n + p.image) * in.side * in.side;
    const struct vector v = load_vector(dy, (of_image + to) * in.lanes + p.lane);
    for (int j = 0; j < CUDA_LANES; j++) sum.lane[j] += v.lane[j];
  }
  store_vector(dx, i, sum);
}

static struct square_images images_of(const struct tensor *t) {
  const int64_t n = t->shape.dim[0], side = t->shape.dim[2], lanes = t->layout.block / CUDA_LANES;
  return {static_cast<int>(n), static_cast<int>(side), static_cast<int>(lanes),
          divisor_of(n),       divisor_of(side),       divisor_of(lanes)};
}

static enum status prepare(struct node *n, const struct run *) {
  n->out->layout.element = n->in[0]->layout.element;
  return cuda_countable(n->out);
}

static enum status forward(struct node *n, const struct run *run) {
  const uint32_t vectors = static_cast<uint32_t>(vectors_of(n->out));
  return launch_items(vectors, turn, cuda_of(run), data_of(n->out), data_of(n->in[0]), images_of(n->in[0]),
                      vectors);
}

static enum status backward(struct node *n, const struct run *run) {
  const uint32_t vectors = static_cast<uint32_t>(vectors_of(n->in[0]));
  return launch_items(vectors, turn_back, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out),
                      images_of(n->in[0]), vectors);
}

} // namespace

CUDA_KERNEL(rotations) = {
    .op = "rotations", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
