/* Three launches: sums of squares of every parameter in PARTS parts, from them its scale, the update. */
#include "nn/cuda/reduce.cuh"
#include "nn/cuda/update.cuh"

enum { PARTS = 32 };

namespace {

struct squares {
  double norm, change; /* of theta, of its gradient with decay */
};

/* squares [n][PARTS], a block each; a thread has AHEAD vectors under way. What lies behind the last number is none. */
static __global__ void sum_squares(struct update_table table, struct squares *squares) {
  enum { AHEAD = 4 };
  const struct update *u = table.runs + blockIdx.y;
  const struct span theta = update_span(u->theta), grad = update_span(u->grad);
  const float decay = static_cast<float>(u->arg[ARG_DECAY]);
  const int64_t count = static_cast<int64_t>(u->bytes / sizeof(float)),
                vectors = (count + CUDA_LANES - 1) / CUDA_LANES,
                step = static_cast<int64_t>(PARTS) * CUDA_THREADS;
  double norm = 0, change = 0;
  for (int64_t i = item(); i < vectors; i += AHEAD * step) {
    struct packed x[AHEAD] = {}, g[AHEAD] = {};
    for (int a = 0; a < AHEAD; a++) {
      if (i + a * step >= vectors) continue;
      x[a] = load_packed(theta, i + a * step);
      g[a] = load_packed(grad, i + a * step);
    }
    for (int a = 0; a < AHEAD; a++) {
      const struct vector of_x = unpack(x[a], ELEMENT_OWN), of_g = unpack(g[a], ELEMENT_OWN);
      const int64_t left = count - (i + a * step) * CUDA_LANES;
      for (int k = 0; k < CUDA_LANES && k < left; k++) {
        float d = of_g.lane[k] + decay * of_x.lane[k];
        norm += static_cast<double>(of_x.lane[k]) * static_cast<double>(of_x.lane[k]);
        change += static_cast<double>(d) * static_cast<double>(d);
      }
    }
  }
  norm = block_sum(norm);
  change = block_sum(change);
  if (threadIdx.x == 0) squares[blockIdx.y * PARTS + blockIdx.x] = {norm, change};
}

static __global__ void find_scales(struct update_table table, const struct squares *squares, float *scales) {
  int64_t run = item();
  if (run >= table.n) return;
  const double *arg = table.runs[run].arg;
  struct squares sum = {};
  for (int i = 0; i < PARTS; i++) {
    sum.norm += squares[run * PARTS + i].norm;
    sum.change += squares[run * PARTS + i].change;
  }
  bool scaled = arg[ARG_VECTOR] == 0 && sum.norm > 0 && sum.change > 0;
  scales[run] = scaled ? static_cast<float>(arg[ARG_OWN + 1] * sqrt(sum.norm) / sqrt(sum.change)) : 1;
}

static __global__ void descend(struct update_table table, const float *scales) {
  struct update_place at;
  if (!update_find(table, item(), &at)) return;
  const struct update *u = at.run;
  const float lr = static_cast<float>(u->arg[ARG_RATE]), momentum = static_cast<float>(u->arg[ARG_OWN]),
              decay = static_cast<float>(u->arg[ARG_DECAY]), scale = scales[u - table.runs];
  struct vector x = load_vector(update_span(u->theta), at.vector),
                g = load_vector(update_span(u->grad), at.vector),
                v = load_vector(update_span(u->state[0]), at.vector);
  for (int k = 0; k < CUDA_LANES; k++) {
    v.lane[k] = momentum * v.lane[k] + scale * (g.lane[k] + decay * x.lane[k]);
    x.lane[k] -= lr * v.lane[k];
  }
  store_vector(update_span(u->theta), at.vector, x);
  store_vector(update_span(u->state[0]), at.vector, v);
}

static enum status update_some(struct cuda *cuda, const struct update *updates, size_t n) {
  struct update_table table;
  int64_t vectors;
  void *squares, *scales;
  const dim3 parts(PARTS, static_cast<unsigned>(n));
  enum status st = OK;
  TRY(update_table_of(cuda, updates, n, &table, &vectors));
  TRY(cuda_room(cuda, n * PARTS * sizeof(struct squares), &squares));
  TRY(cuda_room(cuda, n * sizeof(float), &scales));
  TRY(launch(sum_squares, parts, CUDA_THREADS, 0, cuda, table, static_cast<struct squares *>(squares)));
  TRY(launch(find_scales, cuda_grid(table.n), CUDA_THREADS, 0, cuda, table,
             static_cast<const struct squares *>(squares), static_cast<float *>(scales)));
  TRY(launch(descend, cuda_grid(vectors), CUDA_THREADS, 0, cuda, table, static_cast<const float *>(scales)));
out:
  return st;
}

static enum status update_all(void *device, const struct update *updates, size_t n) {
  enum status st = OK;
  for (size_t at = 0; at < n && st == OK; at += UPDATE_RUNS)
    st = update_some(static_cast<struct cuda *>(device), updates + at, update_batch(n, at));
  return st;
}

} // namespace

CUDA_KERNEL(lars) = {.op = "lars", .backend = "cuda", .update_all = update_all};
