#include "nn/cuda/update.cuh"

static __global__ void follow(struct update_table table) {
  struct update_place at;
  if (!update_find(table, item(), &at)) return;
  const double m = at.run->arg[0];
  const float keep = static_cast<float>(m), take = static_cast<float>(1 - m);
  struct vector x = load_vector(update_span(at.run->theta), at.vector),
                t = load_vector(update_span(at.run->grad), at.vector);
  for (int k = 0; k < CUDA_LANES; k++) x.lane[k] = keep * x.lane[k] + take * t.lane[k];
  store_vector(update_span(at.run->theta), at.vector, x);
}

static enum status update_all(void *device, const struct update *updates, size_t n) {
  return update_launch(follow, device, updates, n);
}

CUDA_KERNEL(ema) = {.op = "ema", .backend = "cuda", .update_all = update_all};
