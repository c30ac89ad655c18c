/* For optimisers and averages: all of a step's runs in one launch, a thread per vector of float32.
 *
 *     static __global__ void step(struct update_table table) {
 *       struct update_place at;
 *       if (!update_find(table, item(), &at)) return;
 *       struct vector x = load_vector(update_span(at.run->theta), at.vector); ...
 *     }
 *     static enum status update_all(void *device, const struct update *updates, size_t n) {
 *       return update_launch(step, device, updates, n);
 *     } */
#ifndef NN_CUDA_UPDATE_CUH
#define NN_CUDA_UPDATE_CUH

#include "nn/cuda/launch.cuh"
#include "nn/cuda/parts.cuh"

extern "C" {
#include "nn/optimiser.h"
}

enum { UPDATE_RUNS = 1024 /* of a launch */, UPDATE_VECTOR_BYTES = CUDA_LANES * sizeof(float) };

/* In device memory. first[r]: run r's first vector among those of all; first[n]: how many there are. */
struct update_table {
  const struct update *runs;
  const int64_t *first;
  int n;
};

struct update_place {
  const struct update *run;
  int64_t vector; /* within the run */
};

/* Where thread i works; false: behind the last run. */
static __device__ __forceinline__ bool update_find(struct update_table t, int64_t i,
                                                   struct update_place *at) {
  if (i >= t.first[t.n]) return false;
  int run = part_of(t.first, t.n, i);
  *at = {t.runs + run, i - t.first[run]};
  return true;
}

static __device__ __forceinline__ struct span update_span(const void *at) {
  return {const_cast<void *>(at), ELEMENT_OWN};
}

/* The table of n <= UPDATE_RUNS runs. */
static inline enum status update_table_of(struct cuda *cuda, const struct update *updates, size_t n,
                                          struct update_table *table, int64_t *vectors) {
  int64_t first[UPDATE_RUNS + 1] = {0};
  const void *runs, *begins;
  for (size_t r = 0; r < n; r++)
    first[r + 1] =
        first[r] + static_cast<int64_t>((updates[r].bytes + UPDATE_VECTOR_BYTES - 1) / UPDATE_VECTOR_BYTES);
  enum status st = cuda_argument(cuda, updates, n * sizeof *updates, &runs);
  if (st == OK) st = cuda_argument(cuda, first, (n + 1) * sizeof *first, &begins);
  if (st != OK) return st;
  *table = {static_cast<const struct update *>(runs), static_cast<const int64_t *>(begins),
            static_cast<int>(n)};
  *vectors = first[n];
  return OK;
}

/* How many of the n runs from `at` on one launch takes. */
static inline size_t update_batch(size_t n, size_t at) {
  return n - at < size_t{UPDATE_RUNS} ? n - at : size_t{UPDATE_RUNS};
}

static inline enum status update_launch(void (*kernel)(struct update_table), void *device,
                                        const struct update *updates, size_t n) {
  struct cuda *cuda = static_cast<struct cuda *>(device);
  enum status st = OK;
  for (size_t at = 0; at < n && st == OK; at += UPDATE_RUNS) {
    struct update_table table;
    int64_t vectors;
    st = update_table_of(cuda, updates + at, update_batch(n, at), &table, &vectors);
    if (st == OK) st = launch(kernel, cuda_grid(vectors), CUDA_THREADS, 0, cuda, table);
  }
  return st;
}

#endif
