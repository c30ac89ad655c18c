/* Copies from one element type to another. */
#include "nn/cuda/launch.cuh"

/* 0 from number `count` on. */
static __global__ void convert(struct span to, struct span from, int64_t count, int64_t vectors,
                               bool accumulate) {
  int64_t i = item();
  if (i >= vectors) return;
  struct vector v = {};
  if (i * CUDA_LANES < count) v = load_vector(from, i);
  for (int k = 0; k < CUDA_LANES; k++) v.lane[k] = i * CUDA_LANES + k < count ? v.lane[k] : 0;
  if (accumulate) {
    struct vector there = load_vector(to, i);
    for (int k = 0; k < CUDA_LANES; k++) v.lane[k] += there.lane[k];
  }
  store_vector(to, i, v);
}

extern "C" enum status cuda_convert(struct cuda *cuda, void *to, enum element to_element, const void *from,
                                    enum element from_element, int64_t count, int64_t room, bool accumulate) {
  int64_t vectors = (room + CUDA_LANES - 1) / CUDA_LANES;
  struct span target = {to, to_element}, source = {const_cast<void *>(from), from_element};
  return launch(convert, cuda_grid(vectors), CUDA_THREADS, 0, cuda, target, source, count, vectors,
                accumulate);
}
