/* How BatchNorm's kernels go over their data, a matrix: rows are pixels (or the rows of [N,C]), columns channels. A block
 * takes some columns of a chunk of a group's rows; a thread keeps its columns and walks down, several rows under way at
 * a time. */
#ifndef NN_BATCH_NORM_WALK_CUH
#define NN_BATCH_NORM_WALK_CUH

#include "nn/cuda/reduce.cuh"

extern "C" {
#include "nn/batch_norm/batch_norm.h"
}

namespace {

enum { SUM, SECOND, N_SUMS }; /* of x and x^2, or of g and g x; float [groups][N_SUMS][channels][chunks] */

/* Blocks that a processor holds at once, by what their threads keep in registers; and how many it gets in all: whole rounds
 * for each kernel, few where a block's sums are to be added up. */
enum { MOMENTS_AT_ONCE = 4, NORMALISE_AT_ONCE = 3, GRADIENT_AT_ONCE = 2, SUMMING = 4, ELEMENTWISE = 6 };

/* How the matrix is cut. A column is LANES channels: CUDA_LANES, or one where rows of [N,C] are no whole vectors. */
struct tiling {
  int64_t groups, rows, chunks, chunk_rows; /* rows of a group; chunks of a group, of so many rows at most */
  int64_t channels, columns;                /* in memory, the padding included */
  int64_t real_channels;
  int threads_x, threads_y;
};

static int lanes_of(const struct tiling *t) { return static_cast<int>(t->channels / t->columns); }

static int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

static struct tiling tiling_of(const struct node *n, const struct cuda *cuda, int blocks_per_processor) {
  enum { ROWS_PER_THREAD = 4, WARP = 32 };
  const struct shape *s = &n->out->shape;
  struct tiling t = {};
  t.groups = static_cast<const struct batch_norm_attr *>(n->attr)->groups;
  t.real_channels = s->dim[1];
  t.channels = n->out->layout.block ? n->out->layout.block : s->dim[1];
  t.columns = t.channels % CUDA_LANES == 0 ? t.channels / CUDA_LANES : t.channels;
  t.rows = s->dim[0] / t.groups * (s->n_dims == 4 ? s->dim[2] * s->dim[3] : 1);
  t.threads_x = 1;
  while (t.threads_x < WARP && t.threads_x < t.columns) t.threads_x *= 2;
  t.threads_y = CUDA_THREADS / t.threads_x;
  int64_t most = blocks_per_processor * cuda->processors / (t.groups * pieces(t.columns, t.threads_x));
  int64_t wanted = pieces(t.rows, t.threads_y * ROWS_PER_THREAD);
  t.chunk_rows = pieces(t.rows, wanted < most ? wanted : most > 1 ? most : 1);
  t.chunk_rows = pieces(t.chunk_rows, t.threads_y) * t.threads_y; /* as many for every thread */
  t.chunks = pieces(t.rows, t.chunk_rows);
  return t;
}

static dim3 grid_of(const struct tiling *t) {
  return dim3(static_cast<unsigned>(pieces(t->columns, t->threads_x)), static_cast<unsigned>(t->chunks),
              static_cast<unsigned>(t->groups));
}

static dim3 block_of(const struct tiling *t) {
  return dim3(static_cast<unsigned>(t->threads_x), static_cast<unsigned>(t->threads_y));
}

static size_t sums_bytes(const struct tiling *t) {
  return static_cast<size_t>(t->groups * t->chunks * N_SUMS * t->channels) * sizeof(float);
}

static size_t table_bytes(const struct tiling *t, int entries) {
  return static_cast<size_t>(t->groups * entries * t->channels) * sizeof(float);
}

/* A thread's part: LANES channels from `channel` on; in columns, row after row of the whole matrix, `at`, `at + step`, ...
 * below `end`. */
struct walk {
  bool inside;
  int64_t channel, at, end, step;
};

template <int LANES> static __device__ __forceinline__ struct walk walk_of(const struct tiling &t) {
  int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  int64_t group = blockIdx.z * t.rows, chunk = blockIdx.y * t.chunk_rows, end = chunk + t.chunk_rows;
  return {column < t.columns, column * LANES, (group + chunk + threadIdx.y) * t.columns + column,
          (group + (end < t.rows ? end : t.rows)) * t.columns, blockDim.y * t.columns};
}

/* Rows that a thread loads before it uses the first, so that memory is never idle: as many as registers hold. */
template <int LANES, int ELEMENT> constexpr int AHEAD = LANES == 1 || ELEMENT == ELEMENT_BF16 ? 4 : 2;

/* In two steps: rows are under way packed. */
template <int LANES, int ELEMENT>
static __device__ __forceinline__ struct packed load_lanes(struct span s, int64_t at) {
  if (LANES == CUDA_LANES) return load_packed(known<ELEMENT>(s), at);
  struct packed p = {};
  p.half[0].x = __float_as_uint(load(s, at));
  return p;
}

template <int LANES, int ELEMENT>
static __device__ __forceinline__ struct vector lanes_of(struct packed p, struct span s) {
  return unpack(p, LANES == CUDA_LANES ? known<ELEMENT>(s).element : ELEMENT_OWN);
}

template <int LANES, int ELEMENT>
static __device__ __forceinline__ void store_lanes(struct span s, int64_t at, const struct vector &v) {
  if (LANES == CUDA_LANES) {
    store_vector(known<ELEMENT>(s), at, v);
  } else {
    store(s, at, v.lane[0]);
  }
}

/* Entry k of the block's group in a table of `entries`, for this thread's channels. */
template <int LANES>
static __device__ __forceinline__ struct vector entry(const float *table, int entries, int k,
                                                      const struct tiling &t, const struct walk &w) {
  const struct span s = {const_cast<float *>(table), ELEMENT_OWN};
  int64_t at = ((blockIdx.z * entries + k) * t.channels + w.channel) / LANES;
  return lanes_of<LANES, ELEMENT_OWN>(load_lanes<LANES, ELEMENT_OWN>(s, at), s);
}

/* Adds up the threads of a column, from the top down, into the block's place in `sums`. All threads come here. */
template <int LANES>
static __device__ void column_sums(const struct vector total[N_SUMS], const struct tiling &t, float *sums) {
  enum { STRIDE = CUDA_THREADS + 8 }; /* so that neighbouring sums lie in different banks */
  __shared__ float of_thread[N_SUMS * LANES * STRIDE];
  int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x), width = static_cast<int>(blockDim.x);
  for (int k = 0; k < N_SUMS * LANES; k++) of_thread[k * STRIDE + thread] = total[k / LANES].lane[k % LANES];
  __syncthreads();
  for (int i = thread; i < N_SUMS * LANES * width; i += CUDA_THREADS) {
    int k = i / width, x = i % width;
    int64_t channel = (static_cast<int64_t>(blockIdx.x) * width + x) * LANES + k % LANES;
    float sum = 0;
    for (unsigned y = 0; y < blockDim.y; y++) sum += of_thread[k * STRIDE + static_cast<int>(y) * width + x];
    if (channel < t.channels)
      sums[((blockIdx.z * N_SUMS + k / LANES) * t.channels + channel) * t.chunks + blockIdx.y] = sum;
  }
}

/* A channel's sums over chunks, in float64, for a warp: lane g gets those of group first + g. */
static __device__ void chunk_sums(const float *sums, const struct tiling &t, int64_t first, int64_t channel,
                                  double total[N_SUMS]) {
  for (int g = 0; g < CUDA_WARP && first + g < t.groups; g++) {
    const float *from = sums + ((first + g) * N_SUMS * t.channels + channel) * t.chunks;
    double mine[N_SUMS] = {};
    for (int64_t chunk = lane(); chunk < t.chunks; chunk += CUDA_WARP)
      for (int k = 0; k < N_SUMS; k++) mine[k] += from[k * t.channels * t.chunks + chunk];
    for (int k = 0; k < N_SUMS; k++) {
      mine[k] = warp_sum(mine[k]);
      if (lane() == g) total[k] = mine[k];
    }
  }
}

} // namespace

#endif
