/* Copies from one element type to another. */
#include "nn/cuda/launch.cuh"
#include "nn/cuda/parts.cuh"

namespace {

enum {
  VECTORS = 4,
  PER_BLOCK = VECTORS * CUDA_THREADS
}; /* of a thread and a block that have many copies before them */

struct copy {
  struct span to, from;
  int64_t count, vectors; /* numbers; vectors of the room */
};

/* In device memory. first_block[i]: copy i's first block among those of all. */
struct copies {
  const struct copy *of;
  const int64_t *first_block;
  int n;
};

} // namespace

static struct copy copy_of(const struct cuda_conversion *c) {
  return {{c->to, c->to_element},
          {const_cast<void *>(c->from), c->from_element},
          c->count,
          (c->room + CUDA_LANES - 1) / CUDA_LANES};
}

/* 0 from number `count` on. */
static __device__ __forceinline__ void convert_vector(const struct copy &c, int64_t i, bool accumulate) {
  struct vector v = {};
  if (i * CUDA_LANES < c.count) v = load_vector(c.from, i);
  for (int k = 0; k < CUDA_LANES; k++) v.lane[k] = i * CUDA_LANES + k < c.count ? v.lane[k] : 0;
  if (accumulate) {
    struct vector there = load_vector(c.to, i);
    for (int k = 0; k < CUDA_LANES; k++) v.lane[k] += there.lane[k];
  }
  store_vector(c.to, i, v);
}

static __global__ void convert(struct copy c, bool accumulate) {
  int64_t i = item();
  if (i < c.vectors) convert_vector(c, i, accumulate);
}

static __global__ void convert_all(struct copies all) {
  const int i = part_of(all.first_block, all.n, blockIdx.x);
  const struct copy c = all.of[i];
  int64_t from = (blockIdx.x - all.first_block[i]) * PER_BLOCK + threadIdx.x;
  for (int k = 0; k < VECTORS; k++)
    if (from + k * CUDA_THREADS < c.vectors) convert_vector(c, from + k * CUDA_THREADS, false);
}

extern "C" enum status cuda_convert(struct cuda *cuda, void *to, enum element to_element, const void *from,
                                    enum element from_element, int64_t count, int64_t room, bool accumulate) {
  struct cuda_conversion conversion = {to, from, to_element, from_element, count, room};
  struct copy c = copy_of(&conversion);
  return launch(convert, cuda_grid(c.vectors), CUDA_THREADS, 0, cuda, c, accumulate);
}

extern "C" enum status cuda_convert_all(struct cuda *cuda, const struct cuda_conversion *conversions, int n) {
  struct copy of[CUDA_CONVERSIONS];
  int64_t first_block[CUDA_CONVERSIONS + 1] = {0};
  const void *copies, *begins;
  for (int i = 0; i < n; i++) {
    of[i] = copy_of(&conversions[i]);
    first_block[i + 1] = first_block[i] + (of[i].vectors + PER_BLOCK - 1) / PER_BLOCK;
  }
  enum status st = cuda_argument(cuda, of, static_cast<size_t>(n) * sizeof *of, &copies);
  if (st == OK)
    st = cuda_argument(cuda, first_block, static_cast<size_t>(n + 1) * sizeof *first_block, &begins);
  if (st != OK) return st;
  struct copies all = {static_cast<const struct copy *>(copies), static_cast<const int64_t *>(begins), n};
  return launch(convert_all, dim3(static_cast<unsigned>(first_block[n])), CUDA_THREADS, 0, cuda, all);
}
