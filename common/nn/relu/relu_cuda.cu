#include "nn/cuda/launch.cuh"

/* to = 0 where sign <= 0, else from: NaN passes. */
static __global__ void rectify(struct span to, struct span from, struct span sign, int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct vector v = load_vector(from, i), s = load_vector(sign, i);
  for (int k = 0; k < CUDA_LANES; k++) v.lane[k] = s.lane[k] <= 0 ? 0 : v.lane[k];
  store_vector(to, i, v);
}

static enum status prepare(struct node *n, const struct run *) {
  n->keep_out = true;
  return OK;
}

static enum status forward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->out);
  return launch_items(vectors, rectify, cuda_of(run), data_of(n->out), data_of(n->in[0]), data_of(n->in[0]),
                      vectors);
}

static enum status backward(struct node *n, const struct run *run) {
  int64_t vectors = vectors_of(n->out);
  return launch_items(vectors, rectify, cuda_of(run), span_of(n->in[0], n->in_grad[0]), grad_of(n->out),
                      data_of(n->out), vectors);
}

CUDA_KERNEL(relu) = {
    .op = "relu", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
