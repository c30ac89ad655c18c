/* BatchNorm in two passes over the data each way; what it costs is their traffic.
 *
 * The data is a matrix: rows are pixels (or the rows of [N,C]), columns channels. A block takes some columns of a
 * chunk of a group's rows; a thread keeps its columns and walks down. A chunk's sums are float32 about a number
 * near the mean, which keeps the variance exact where the mean is far from zero; chunks are added up in float64,
 * in a fixed order. The ReLU's derivative is recomputed from x, or read from y where a residual was added. */
#include "nn/cuda/launch.cuh"

extern "C" {
#include "nn/batch_norm/batch_norm.h"
}

namespace {

/* float [groups][N_COEFS][channels]; backward: [groups][N_FACTORS][channels] */
enum { MEAN, SCALE, BETA, INVERSE, N_COEFS };
enum { FACTOR, SLOPE, OFFSET, N_FACTORS };
enum { SUM, SECOND, N_SUMS }; /* of x and x^2, or of g and g x; float [groups][chunks][N_SUMS][channels] */

/* How the matrix is cut. A column is LANES channels: CUDA_LANES, or one where rows of [N,C] are no whole vectors. */
struct tiling {
  int64_t groups, rows, chunks; /* rows of a group; chunks of a group */
  int64_t channels, columns;    /* in memory, the padding included */
  int64_t real_channels;
  int threads_x, threads_y;
};

static int lanes_of(const struct tiling *t) { return static_cast<int>(t->channels / t->columns); }

static struct tiling tiling_of(const struct node *n, const struct cuda *cuda) {
  enum { ROWS_PER_THREAD = 8, BLOCKS_PER_PROCESSOR = 16, WARP = 32 };
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
  int64_t most = BLOCKS_PER_PROCESSOR * cuda->processors * t.threads_x / (t.groups * t.columns);
  int64_t wanted = (t.rows + t.threads_y * ROWS_PER_THREAD - 1) / (t.threads_y * ROWS_PER_THREAD);
  t.chunks = wanted < most ? wanted : most > 1 ? most : 1;
  return t;
}

static dim3 grid_of(const struct tiling *t) {
  return dim3(static_cast<unsigned>((t->columns + t->threads_x - 1) / t->threads_x),
              static_cast<unsigned>(t->chunks), static_cast<unsigned>(t->groups));
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

static enum status prepare(struct node *n, const struct run *run) {
  const struct batch_norm_attr *a = static_cast<const struct batch_norm_attr *>(n->attr);
  struct tiling t = tiling_of(n, cuda_of(run));
  n->keep_in = 1 << BN_X | 1 << BN_GAMMA;
  n->keep_out = a->residual;
  n->saved_bytes = n->out->wants_grad ? table_bytes(&t, N_COEFS) : 0;
  n->forward_scratch = sums_bytes(&t) + (n->out->wants_grad ? 0 : table_bytes(&t, N_COEFS));
  n->backward_scratch = sums_bytes(&t) + table_bytes(&t, N_FACTORS);
  return OK;
}

/* --- Walking over the data ------------------------------------------------------------------------------ */

/* A thread's part: LANES channels from `channel` on, rows `from`, `from + step`, ... below `to`, in the whole matrix. */
struct walk {
  bool inside;
  int64_t channel, from, to, step;
};

template <int LANES> static __device__ __forceinline__ struct walk walk_of(const struct tiling &t) {
  int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  int64_t first = blockIdx.z * t.rows, chunk = blockIdx.y;
  return {column < t.columns, column * LANES, first + t.rows * chunk / t.chunks + threadIdx.y,
          first + t.rows * (chunk + 1) / t.chunks, static_cast<int64_t>(blockDim.y)};
}

template <int LANES> static __device__ __forceinline__ struct vector load_lanes(struct span s, int64_t at) {
  struct vector v;
  if (LANES == CUDA_LANES) return load_vector(s, at / CUDA_LANES);
  v.lane[0] = load(s, at);
  return v;
}

template <int LANES>
static __device__ __forceinline__ void store_lanes(struct span s, int64_t at, const struct vector &v) {
  if (LANES == CUDA_LANES) {
    store_vector(s, at / CUDA_LANES, v);
  } else {
    store(s, at, v.lane[0]);
  }
}

/* Entry k of the block's group in a table of `entries`, from this thread's channels on. */
static __device__ __forceinline__ const float *entry(const float *table, int entries, int k,
                                                     const struct tiling &t, const struct walk &w) {
  return table + (blockIdx.z * entries + k) * t.channels + w.channel;
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
      sums[((blockIdx.z * t.chunks + blockIdx.y) * N_SUMS + k / LANES) * t.channels + channel] = sum;
  }
}

/* A channel's sums over the chunks of a group, in float64, for a block of CHANNELS x STRANDS threads; the first
 * strand gets them. All threads come here. */
enum { CHANNELS = 8, STRANDS = CUDA_THREADS / CHANNELS };

static __device__ void chunk_sums(const float *sums, const struct tiling &t, int64_t group, int64_t channel,
                                  double total[N_SUMS]) {
  __shared__ double of_strand[N_SUMS][STRANDS][CHANNELS];
  double mine[N_SUMS] = {0, 0};
  for (int64_t chunk = threadIdx.y; chunk < t.chunks && channel < t.channels; chunk += STRANDS)
    for (int k = 0; k < N_SUMS; k++)
      mine[k] += sums[((group * t.chunks + chunk) * N_SUMS + k) * t.channels + channel];
  for (int k = 0; k < N_SUMS; k++) of_strand[k][threadIdx.y][threadIdx.x] = mine[k];
  __syncthreads();
  for (int k = 0; k < N_SUMS; k++) {
    total[k] = 0;
    for (int y = 0; y < STRANDS && threadIdx.y == 0; y++) total[k] += of_strand[k][y][threadIdx.x];
  }
  __syncthreads();
}

static unsigned channel_blocks(const struct tiling *t) {
  return static_cast<unsigned>((t->channels + CHANNELS - 1) / CHANNELS);
}

/* --- Forward -------------------------------------------------------------------------------------------- */

template <int LANES> static __global__ void moments(struct span x, struct tiling t, float *sums) {
  struct walk w = walk_of<LANES>(t);
  struct vector total[N_SUMS] = {};
  if (w.inside) {
    struct vector centre = load_lanes<LANES>(x, blockIdx.z * t.rows * t.channels + w.channel);
    for (int64_t row = w.from; row < w.to; row += w.step) {
      struct vector v = load_lanes<LANES>(x, row * t.channels + w.channel);
      for (int k = 0; k < LANES; k++) {
        float d = v.lane[k] - centre.lane[k];
        total[SUM].lane[k] += d;
        total[SECOND].lane[k] += d * d;
      }
    }
  }
  column_sums<LANES>(total, t, sums);
}

struct statistics {
  const float *gamma, *beta;
  float *mean, *var; /* running */
  double eps;
  const float *momentum; /* on the device */
  bool of_batch;         /* else the running ones are used, and left alone */
};

static __device__ void write_coefficients(float *coefs, int64_t channels, int64_t channel,
                                          const struct statistics &s, bool real, double mean, double var) {
  double inverse = 1 / sqrt(var + s.eps);
  coefs[MEAN * channels + channel] = real ? static_cast<float>(mean) : 0;
  coefs[SCALE * channels + channel] = real ? static_cast<float>(s.gamma[channel] * inverse) : 0;
  coefs[BETA * channels + channel] = real ? s.beta[channel] : 0;
  coefs[INVERSE * channels + channel] = real ? static_cast<float>(inverse) : 0;
}

static __global__ void find_coefficients(struct span x, struct tiling t, const float *sums,
                                         struct statistics s, float *coefs) {
  int64_t channel = static_cast<int64_t>(blockIdx.x) * CHANNELS + threadIdx.x;
  bool writes = threadIdx.y == 0 && channel < t.channels, real = channel < t.real_channels;
  double count = static_cast<double>(t.rows), m = *s.momentum;
  for (int64_t group = 0; group < t.groups; group++) {
    double total[N_SUMS], mean = real ? s.mean[channel] : 0, var = real ? s.var[channel] : 0;
    if (s.of_batch) chunk_sums(sums, t, group, channel, total);
    if (!writes) continue;
    if (s.of_batch && real) {
      double shift = total[SUM] / count, square = total[SECOND] / count - shift * shift;
      double batch_mean = load(x, group * t.rows * t.channels + channel) + shift;
      double batch_var = square < 0 ? 0 : square; /* NaN stays */
      s.mean[channel] = static_cast<float>((1 - m) * mean + m * batch_mean);
      s.var[channel] = static_cast<float>((1 - m) * var + m * batch_var * count / (count - 1));
      mean = batch_mean;
      var = batch_var;
    }
    write_coefficients(coefs + group * N_COEFS * t.channels, t.channels, channel, s, real, mean, var);
  }
}

static __device__ __forceinline__ float normalised(float x, float mean, float scale, float beta) {
  return scale * (x - mean) + beta;
}

template <int LANES>
static __global__ void normalise(struct span y, struct span x, struct span residual, struct tiling t,
                                 const float *coefs, bool relu) {
  struct walk w = walk_of<LANES>(t);
  if (!w.inside) return;
  struct vector mean, scale, beta;
  for (int k = 0; k < LANES; k++) {
    mean.lane[k] = entry(coefs, N_COEFS, MEAN, t, w)[k];
    scale.lane[k] = entry(coefs, N_COEFS, SCALE, t, w)[k];
    beta.lane[k] = entry(coefs, N_COEFS, BETA, t, w)[k];
  }
  for (int64_t row = w.from; row < w.to; row += w.step) {
    int64_t at = row * t.channels + w.channel;
    struct vector v = load_lanes<LANES>(x, at), r = {};
    if (residual.data) r = load_lanes<LANES>(residual, at);
    for (int k = 0; k < LANES; k++) {
      float z = normalised(v.lane[k], mean.lane[k], scale.lane[k], beta.lane[k]) + r.lane[k];
      v.lane[k] = relu && z <= 0 ? 0 : z;
    }
    store_lanes<LANES>(y, at, v);
  }
}

template <int LANES>
static enum status forward_lanes(struct node *n, const struct run *run, const struct tiling &t) {
  const struct batch_norm_attr *a = static_cast<const struct batch_norm_attr *>(n->attr);
  float *sums = static_cast<float *>(n->scratch_f);
  float *coefs = n->saved ? static_cast<float *>(n->saved) : sums + sums_bytes(&t) / sizeof(float);
  struct span x = data_of(n->in[BN_X]), none = {};
  struct statistics s = {static_cast<const float *>(n->in[BN_GAMMA]->data),
                         static_cast<const float *>(n->in[BN_BETA]->data),
                         static_cast<float *>(n->in[BN_MEAN]->data),
                         static_cast<float *>(n->in[BN_VAR]->data),
                         a->eps,
                         cuda_of(run)->bn_momentum,
                         run->mode != GRAPH_INFERENCE};
  enum status st = OK;
  if (s.of_batch) TRY(launch(moments<LANES>, grid_of(&t), block_of(&t), 0, cuda_of(run), x, t, sums));
  TRY(launch(find_coefficients, channel_blocks(&t), dim3(CHANNELS, STRANDS), 0, cuda_of(run), x, t, sums, s,
             coefs));
  TRY(launch(normalise<LANES>, grid_of(&t), block_of(&t), 0, cuda_of(run), data_of(n->out), x,
             a->residual ? data_of(n->in[BN_RESIDUAL]) : none, t, coefs, a->relu));
out:
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  struct tiling t = tiling_of(n, cuda_of(run));
  return lanes_of(&t) == 1 ? forward_lanes<1>(n, run, t) : forward_lanes<CUDA_LANES>(n, run, t);
}

/* --- Backward ------------------------------------------------------------------------------------------- */

/* What the gradient passes read. g = dy where the ReLU let pass. */
struct incoming {
  struct span x, dy, y; /* y.data NULL: no residual */
  bool relu;
};

template <int LANES>
static __device__ __forceinline__ struct vector
passed(const struct incoming &in, int64_t at, const struct vector &x, const struct vector &mean,
       const struct vector &scale, const struct vector &beta) {
  struct vector g = load_lanes<LANES>(in.dy, at), y;
  if (!in.relu) return g;
  if (in.y.data) y = load_lanes<LANES>(in.y, at);
  for (int k = 0; k < LANES; k++) {
    float z = in.y.data ? y.lane[k] : normalised(x.lane[k], mean.lane[k], scale.lane[k], beta.lane[k]);
    if (z <= 0) g.lane[k] = 0;
  }
  return g;
}

template <int LANES>
static __global__ void gradient_sums(struct incoming in, struct span dresidual, struct tiling t,
                                     const float *coefs, float *sums) {
  struct walk w = walk_of<LANES>(t);
  struct vector total[N_SUMS] = {};
  if (w.inside) {
    struct vector mean, scale, beta;
    for (int k = 0; k < LANES; k++) {
      mean.lane[k] = entry(coefs, N_COEFS, MEAN, t, w)[k];
      scale.lane[k] = entry(coefs, N_COEFS, SCALE, t, w)[k];
      beta.lane[k] = entry(coefs, N_COEFS, BETA, t, w)[k];
    }
    for (int64_t row = w.from; row < w.to; row += w.step) {
      int64_t at = row * t.channels + w.channel;
      struct vector x = load_lanes<LANES>(in.x, at), g = passed<LANES>(in, at, x, mean, scale, beta);
      if (dresidual.data) store_lanes<LANES>(dresidual, at, g);
      for (int k = 0; k < LANES; k++) {
        total[SUM].lane[k] += g.lane[k];
        total[SECOND].lane[k] += g.lane[k] * (x.lane[k] - mean.lane[k]);
      }
    }
  }
  column_sums<LANES>(total, t, sums);
}

/* dx = gamma/s (g - mean(g) - xhat mean(g xhat)), with xhat = (x - mean)/s, as factor g - slope (x - mean) - offset. */
static __global__ void find_factors(struct tiling t, const float *sums, const float *coefs, float *factors,
                                    float *dgamma, float *dbeta) {
  int64_t channel = static_cast<int64_t>(blockIdx.x) * CHANNELS + threadIdx.x;
  double count = static_cast<double>(t.rows), scale_grad = 0, shift_grad = 0;
  for (int64_t group = 0; group < t.groups; group++) {
    double total[N_SUMS];
    chunk_sums(sums, t, group, channel, total);
    if (threadIdx.y != 0 || channel >= t.channels) continue;
    const float *c = coefs + group * N_COEFS * t.channels + channel;
    float *f = factors + group * N_FACTORS * t.channels + channel;
    double scale = c[SCALE * t.channels], inverse = c[INVERSE * t.channels];
    scale_grad += total[SECOND] * inverse;
    shift_grad += total[SUM];
    f[FACTOR * t.channels] = static_cast<float>(scale);
    f[SLOPE * t.channels] = static_cast<float>(scale * inverse * inverse * total[SECOND] / count);
    f[OFFSET * t.channels] = static_cast<float>(scale * total[SUM] / count);
  }
  if (threadIdx.y != 0 || channel >= t.real_channels) return;
  if (dgamma) dgamma[channel] = static_cast<float>(scale_grad);
  if (dbeta) dbeta[channel] = static_cast<float>(shift_grad);
}

template <int LANES>
static __global__ void gradient(struct span dx, struct incoming in, struct tiling t, const float *coefs,
                                const float *factors) {
  struct walk w = walk_of<LANES>(t);
  if (!w.inside) return;
  struct vector mean, scale, beta, factor, slope, offset;
  for (int k = 0; k < LANES; k++) {
    mean.lane[k] = entry(coefs, N_COEFS, MEAN, t, w)[k];
    scale.lane[k] = entry(coefs, N_COEFS, SCALE, t, w)[k];
    beta.lane[k] = entry(coefs, N_COEFS, BETA, t, w)[k];
    factor.lane[k] = entry(factors, N_FACTORS, FACTOR, t, w)[k];
    slope.lane[k] = entry(factors, N_FACTORS, SLOPE, t, w)[k];
    offset.lane[k] = entry(factors, N_FACTORS, OFFSET, t, w)[k];
  }
  for (int64_t row = w.from; row < w.to; row += w.step) {
    int64_t at = row * t.channels + w.channel;
    struct vector x = load_lanes<LANES>(in.x, at), g = passed<LANES>(in, at, x, mean, scale, beta);
    for (int k = 0; k < LANES; k++)
      g.lane[k] = factor.lane[k] * g.lane[k] - slope.lane[k] * (x.lane[k] - mean.lane[k]) - offset.lane[k];
    store_lanes<LANES>(dx, at, g);
  }
}

template <int LANES>
static enum status backward_lanes(struct node *n, const struct run *run, const struct tiling &t) {
  const struct batch_norm_attr *a = static_cast<const struct batch_norm_attr *>(n->attr);
  const float *coefs = static_cast<const float *>(n->saved);
  float *sums = static_cast<float *>(n->scratch_b), *factors = sums + sums_bytes(&t) / sizeof(float);
  struct span none = {}, dresidual = none;
  struct incoming in = {data_of(n->in[BN_X]), grad_of(n->out), a->residual ? data_of(n->out) : none, a->relu};
  if (a->residual) dresidual = span_of(n->in[BN_RESIDUAL], n->in_grad[BN_RESIDUAL]);
  enum status st = OK;
  TRY(launch(gradient_sums<LANES>, grid_of(&t), block_of(&t), 0, cuda_of(run), in, dresidual, t, coefs,
             sums));
  TRY(launch(find_factors, channel_blocks(&t), dim3(CHANNELS, STRANDS), 0, cuda_of(run), t, sums, coefs,
             factors, static_cast<float *>(n->in_grad[BN_GAMMA]), static_cast<float *>(n->in_grad[BN_BETA])));
  /* The residual's gradient is g already: one tensor less to read. */
  if (dresidual.data) in = {in.x, dresidual, none, false};
  if (n->in_grad[BN_X])
    TRY(launch(gradient<LANES>, grid_of(&t), block_of(&t), 0, cuda_of(run),
               span_of(n->in[BN_X], n->in_grad[BN_X]), in, t, coefs, factors));
out:
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  struct tiling t = tiling_of(n, cuda_of(run));
  return lanes_of(&t) == 1 ? backward_lanes<1>(n, run, t) : backward_lanes<CUDA_LANES>(n, run, t);
}

} // namespace

CUDA_KERNEL(batch_norm) = {
    .op = "batch_norm", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
