/* Forward writes down which place of its window won, a byte per output, so that backward reads neither x nor y: every
 * input looks whether it won the windows that it lies in. A thread does that for TILE x TILE pixels, which share most
 * of their windows. */
#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/max_pool/max_pool.h"
}

namespace {

/* How vector i of images [N, height, width, vectors] is taken apart. */
struct plane {
  int height, width;
  struct divisor by_vectors, by_width, by_height;
};

struct pooling {
  int kernel, stride, pad, vectors; /* vectors: per pixel */
  struct plane in, out, tiles;      /* tiles of `in` */
  struct divisor by_stride;
};

static struct plane plane_of(const struct tensor *t, int64_t tile) {
  const int64_t height = (t->shape.dim[2] + tile - 1) / tile, width = (t->shape.dim[3] + tile - 1) / tile;
  return {static_cast<int>(height), static_cast<int>(width), divisor_of(t->layout.block / CUDA_LANES),
          divisor_of(width), divisor_of(height)};
}

static struct pooling pooling_of(const struct node *n, int tile) {
  const struct max_pool_attr *a = static_cast<const struct max_pool_attr *>(n->attr);
  struct pooling p = {};
  p.kernel = static_cast<int>(a->kernel);
  p.stride = static_cast<int>(a->stride);
  p.pad = static_cast<int>(a->pad);
  p.vectors = static_cast<int>(n->out->layout.block / CUDA_LANES);
  p.in = plane_of(n->in[0], 1);
  p.out = plane_of(n->out, 1);
  p.tiles = plane_of(n->in[0], tile);
  p.by_stride = divisor_of(a->stride);
  return p;
}

/* Places of the winners in their windows, row-major, one byte per lane. */
typedef uint64_t places;
static_assert(sizeof(places) == CUDA_LANES, "a byte per lane");

static enum status prepare(struct node *n, const struct run *) {
  const struct max_pool_attr *a = static_cast<const struct max_pool_attr *>(n->attr);
  if (a->kernel * a->kernel > 256)
    return fail(E_ARG, "max_pool: windows of %lld pixels; on cuda at most 16", (long long)a->kernel);
  if (n->out->wants_grad) n->saved_bytes = static_cast<size_t>(vectors_of(n->out)) * sizeof(places);
  return cuda_countable(n->in[0]);
}

struct place {
  int image, h, w, vector;
};

static __device__ __forceinline__ struct place place_of(uint32_t i, const struct plane &p) {
  const uint32_t pixel = quotient(i, p.by_vectors), row = quotient(pixel, p.by_width);
  return {static_cast<int>(quotient(row, p.by_height)), static_cast<int>(remainder_of(row, p.by_height)),
          static_cast<int>(remainder_of(pixel, p.by_width)), static_cast<int>(remainder_of(i, p.by_vectors))};
}

/* Which vector pixel (h, w) is, in the image and at the vector of `at`. */
static __device__ __forceinline__ int vector_at(struct place at, int h, int w, const struct plane &p,
                                                int vectors) {
  return ((at.image * p.height + h) * p.width + w) * vectors + at.vector;
}

struct range {
  int first, end;
};

/* Places of the window at `begin` that lie inside of the image. */
static __device__ __forceinline__ struct range places_inside(int begin, int kernel, int size) {
  return {begin < 0 ? -begin : 0, begin + kernel < size ? kernel : size - begin};
}

/* Windows that pixels [h, last] of a row or column lie in. */
static __device__ __forceinline__ struct range windows_over(int h, int last, const struct pooling &p,
                                                            int windows) {
  const int before = h + p.pad - p.kernel;
  const int first =
                before < 0 ? 0 : static_cast<int>(quotient(static_cast<uint32_t>(before), p.by_stride)) + 1,
            end = static_cast<int>(quotient(static_cast<uint32_t>(last + p.pad), p.by_stride)) + 1;
  return {first, end < windows ? end : windows};
}

/* Adds those of a window's gradients whose winner is at `place`. */
static __device__ __forceinline__ void add_won(struct vector *sum, const struct vector &g, places winners,
                                               int place) {
  const places others = winners ^ static_cast<places>(place) * 0x0101010101010101u;
  for (int lane = 0; lane < CUDA_LANES; lane++)
    if (!(others >> 8 * lane & 0xff)) sum->lane[lane] += g.lane[lane];
}

template <int ELEMENT>
static __global__ void pool(struct span y, places *winners, struct span x, struct pooling p,
                            uint32_t vectors) {
  const uint32_t i = static_cast<uint32_t>(item());
  if (i >= vectors) return;
  const struct place at = place_of(i, p.out);
  const int top = at.h * p.stride - p.pad, left = at.w * p.stride - p.pad;
  const struct range rows = places_inside(top, p.kernel, p.in.height),
                     columns = places_inside(left, p.kernel, p.in.width);
  struct vector best = {};
  unsigned won[CUDA_LANES] = {};
  bool first = true;
  for (int row = rows.first; row < rows.end; row++) {
    for (int column = columns.first; column < columns.end; column++) {
      const int from = vector_at(at, top + row, left + column, p.in, p.vectors);
      const struct vector v = load_vector(known<ELEMENT>(x), from);
      for (int lane = 0; lane < CUDA_LANES; lane++) {
        if (!first && !(v.lane[lane] > best.lane[lane])) continue;
        best.lane[lane] = v.lane[lane];
        won[lane] = static_cast<unsigned>(row * p.kernel + column);
      }
      first = false;
    }
  }
  store_vector(known<ELEMENT>(y), i, best);
  places all = 0;
  for (int lane = 0; lane < CUDA_LANES; lane++) all |= places{won[lane]} << 8 * lane;
  if (winners) winners[i] = all;
}

template <int ELEMENT, int TILE>
static __global__ void hand_back(struct span dx, struct span dy, const places *winners, struct pooling p,
                                 uint32_t items) {
  const uint32_t i = static_cast<uint32_t>(item());
  if (i >= items) return;
  const struct place at = place_of(i, p.tiles);
  const int h = at.h * TILE, w = at.w * TILE; /* the tile's first pixel */
  const struct range rows = windows_over(h, h + TILE - 1, p, p.out.height),
                     columns = windows_over(w, w + TILE - 1, p, p.out.width);
  struct vector sum[TILE * TILE] = {};
  for (int row = rows.first; row < rows.end; row++) {
    for (int column = columns.first; column < columns.end; column++) {
      const int from = vector_at(at, row, column, p.out, p.vectors);
      const struct vector g = load_vector(known<ELEMENT>(dy), from);
      const places won = winners[from];
      for (int pixel = 0; pixel < TILE * TILE; pixel++) {
        const int y = h + pixel / TILE + p.pad - row * p.stride,
                  x = w + pixel % TILE + p.pad - column * p.stride;
        if (y >= 0 && y < p.kernel && x >= 0 && x < p.kernel) add_won(&sum[pixel], g, won, y * p.kernel + x);
      }
    }
  }
  for (int pixel = 0; pixel < TILE * TILE; pixel++) {
    const int y = h + pixel / TILE, x = w + pixel % TILE;
    if (y < p.in.height && x < p.in.width)
      store_vector(known<ELEMENT>(dx), vector_at(at, y, x, p.in, p.vectors), sum[pixel]);
  }
}

static enum status forward(struct node *n, const struct run *run) {
  const uint32_t vectors = static_cast<uint32_t>(vectors_of(n->out));
  const struct span y = data_of(n->out), x = data_of(n->in[0]);
  return by_element({y, x}, [&](auto element) {
    return launch_items(vectors, pool<element>, cuda_of(run), y, static_cast<places *>(n->saved), x,
                        pooling_of(n, 1), vectors);
  });
}

template <int TILE> static enum status backward_tiles(struct node *n, const struct run *run) {
  const struct span dx = span_of(n->in[0], n->in_grad[0]), dy = grad_of(n->out);
  const struct pooling p = pooling_of(n, TILE);
  const uint32_t items =
      static_cast<uint32_t>(n->in[0]->shape.dim[0] * p.tiles.height * p.tiles.width * p.vectors);
  return by_element({dx, dy}, [&](auto element) {
    return launch_items(items, hand_back<element, TILE>, cuda_of(run), dx, dy,
                        static_cast<const places *>(n->saved), p, items);
  });
}

static enum status backward(struct node *n, const struct run *run) {
  const struct max_pool_attr *a = static_cast<const struct max_pool_attr *>(n->attr);
  return a->stride == 2 ? backward_tiles<2>(n, run) : backward_tiles<1>(n, run);
}

} // namespace

CUDA_KERNEL(max_pool) = {
    .op = "max_pool", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
