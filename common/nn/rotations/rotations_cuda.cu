/* A thread moves a vector of channels. */
#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/rotations/rotations.h"
}

namespace {

/* Where pixel (r, c) of an image [S, S] turned k times comes from. The turn back from k is 4 - k. */
static __device__ __forceinline__ int64_t origin(int k, int64_t s, int64_t r, int64_t c) {
  switch (k) {
  case 0: return r * s + c;
  case 1: return c * s + s - 1 - r;
  case 2: return (s - 1 - r) * s + s - 1 - c;
  default: return (s - 1 - c) * s + r;
  }
}

struct square_images {
  int64_t n, side, lanes; /* lanes: vectors per pixel */
};

/* Vector i of [n, side, side, lanes], taken apart. */
struct place {
  int64_t image, row, column, lane;
};
static __device__ __forceinline__ struct place place_of(struct square_images m, int64_t i) {
  int64_t pixel = i / m.lanes;
  return {pixel / (m.side * m.side), pixel / m.side % m.side, pixel % m.side, i % m.lanes};
}

static __global__ void turn(struct span y, struct span x, struct square_images in, int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct place p = place_of(in, i);
  int64_t from = origin(static_cast<int>(p.image / in.n), in.side, p.row, p.column);
  store_vector(y, i, load_vector(x, (p.image % in.n * in.side * in.side + from) * in.lanes + p.lane));
}

static __global__ void turn_back(struct span dx, struct span dy, struct square_images in, int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct place p = place_of(in, i);
  struct vector sum = {};
  for (int k = 0; k < N_ROTATIONS; k++) {
    int64_t to = origin((N_ROTATIONS - k) % N_ROTATIONS, in.side, p.row, p.column);
    struct vector v = load_vector(dy, ((k * in.n + p.image) * in.side * in.side + to) * in.lanes + p.lane);
    for (int j = 0; j < CUDA_LANES; j++) sum.lane[j] += v.lane[j];
  }
  store_vector(dx, i, sum);
}

static struct square_images images_of(const struct tensor *t) {
  return {t->shape.dim[0], t->shape.dim[2], t->layout.block / CUDA_LANES};
}

static enum status prepare(struct node *n, const struct run *) {
  n->out->layout.element = n->in[0]->layout.element;
  return OK;
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->out);
  return launch_items(vectors, turn, cuda_of(run), data_of(n->out), data_of(n->in[0]), images_of(n->in[0]),
                      vectors);
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->in[0]);
  return launch_items(vectors, turn_back, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out),
                      images_of(n->in[0]), vectors);
}

} // namespace

CUDA_KERNEL(rotations) = {
    .op = "rotations", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
