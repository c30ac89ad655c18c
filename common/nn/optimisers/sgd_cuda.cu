#include "nn/cuda/update.cuh"

static __global__ void descend(struct update_table table) {
  struct update_place at;
  if (!update_find(table, item(), &at)) return;
  const struct update *u = at.run;
  const float lr = static_cast<float>(u->arg[ARG_RATE]), momentum = static_cast<float>(u->arg[ARG_OWN]),
              decay = static_cast<float>(u->arg[ARG_DECAY]);
  struct vector x = load_vector(update_span(u->theta), at.vector),
                g = load_vector(update_span(u->grad), at.vector),
                v = load_vector(update_span(u->state[0]), at.vector);
  for (int k = 0; k < CUDA_LANES; k++) {
    v.lane[k] = momentum * v.lane[k] + (g.lane[k] + decay * x.lane[k]);
    x.lane[k] -= lr * v.lane[k];
  }
  store_vector(update_span(u->theta), at.vector, x);
  store_vector(update_span(u->state[0]), at.vector, v);
}

static enum status update_all(void *device, const struct update *updates, size_t n) {
  return update_launch(descend, device, updates, n);
}

CUDA_KERNEL(sgd) = {.op = "sgd", .backend = "cuda", .update_all = update_all};
