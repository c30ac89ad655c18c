#include "nn/cuda/update.cuh"

static __global__ void descend(struct update_table table) {
  struct update_place at;
  if (!update_find(table, item(), &at)) return;
  const struct update *u = at.run;
  const double *own = u->arg + ARG_OWN;
  const float rate = static_cast<float>(u->arg[ARG_RATE] * own[3]),
              decay = static_cast<float>(u->arg[ARG_DECAY]);
  const float keep_m = static_cast<float>(own[0]), take_m = static_cast<float>(1 - own[0]);
  const float keep_v = static_cast<float>(own[1]), take_v = static_cast<float>(1 - own[1]);
  const float epsilon = static_cast<float>(own[2]), root_scale = static_cast<float>(own[4]);
  struct vector x = load_vector(update_span(u->theta), at.vector),
                g = load_vector(update_span(u->grad), at.vector),
                m = load_vector(update_span(u->state[0]), at.vector),
                v = load_vector(update_span(u->state[1]), at.vector);
  for (int k = 0; k < CUDA_LANES; k++) {
    float d = g.lane[k] + decay * x.lane[k];
    m.lane[k] = keep_m * m.lane[k] + take_m * d;
    v.lane[k] = keep_v * v.lane[k] + take_v * d * d;
    x.lane[k] -= rate * m.lane[k] / (sqrtf(v.lane[k]) * root_scale + epsilon);
  }
  store_vector(update_span(u->theta), at.vector, x);
  store_vector(update_span(u->state[0]), at.vector, m);
  store_vector(update_span(u->state[1]), at.vector, v);
}

static enum status update_all(void *device, const struct update *updates, size_t n) {
  return update_launch(descend, device, updates, n);
}

CUDA_KERNEL(adam) = {.op = "adam", .backend = "cuda", .update_all = update_all};
