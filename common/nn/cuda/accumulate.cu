/* Gradients that meet: to += from. */
#include "nn/cuda/launch.cuh"

static __global__ void accumulate(struct span to, struct span from, int64_t vectors) {
  int64_t i = item();
  if (i >= vectors) return;
  struct vector a = load_vector(to, i), b = load_vector(from, i);
  for (int k = 0; k < CUDA_LANES; k++) a.lane[k] += b.lane[k];
  store_vector(to, i, a);
}

extern "C" enum status cuda_accumulate(void *device, const struct tensor *t, void *to, const void *from) {
  int64_t n = vectors_of(t);
  return launch(accumulate, cuda_grid(n), CUDA_THREADS, 0, static_cast<struct cuda *>(device), span_of(t, to),
                span_of(t, from), n);
}
