#include "nn/cuda/launch.cuh"

static __global__ void sum(struct span y, struct span a, struct span b, int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct vector v = load_vector(a, i), w = load_vector(b, i);
  for (int k = 0; k < CUDA_LANES; k++) v.lane[k] += w.lane[k];
  store_vector(y, i, v);
}

static __global__ void hand_back(struct span da, struct span db, struct span dy, int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct vector v = load_vector(dy, i);
  if (da.data) store_vector(da, i, v);
  if (db.data) store_vector(db, i, v);
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->out);
  return launch_items(vectors, sum, cuda_of(run), data_of(n->out), data_of(n->in[0]), data_of(n->in[1]),
                      vectors);
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->out);
  return launch_items(vectors, hand_back, cuda_of(run), span_of(n->in[0], n->in_grad[0]),
                      span_of(n->in[1], n->in_grad[1]), grad_of(n->out), vectors);
}

CUDA_KERNEL(add) = {.op = "add", .backend = "cuda", .forward = forward, .backward = backward};
