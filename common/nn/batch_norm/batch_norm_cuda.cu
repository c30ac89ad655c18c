/* BatchNorm in two passes over the data each way; what it costs is their traffic.
 *
 * A chunk's sums (walk.cuh) are float32 about a number near the mean, which keeps the variance exact where the mean is
 * far from zero; chunks are added up in float64, in a fixed order. The ReLU's derivative is recomputed from x; where a
 * residual was added, forward writes down what passed, a bit per number. */
#include "nn/batch_norm/walk.cuh"

namespace {

/* float [groups][N_COEFS][channels]; backward: [groups][N_FACTORS][channels] */
enum { MEAN, SCALE, BETA, INVERSE, N_COEFS };
enum { SLOPE, OFFSET, N_FACTORS };

/* Bytes of what passed the ReLU of a sum: one for the lanes of a column. */
static size_t passed_bytes(const struct node *n, const struct tiling *t) {
  const struct batch_norm_attr *a = static_cast<const struct batch_norm_attr *>(n->attr);
  return a->residual && a->relu ? static_cast<size_t>(t->groups * t->rows * t->columns) : 0;
}

static enum status prepare(struct node *n, const struct run *run) {
  struct tiling t = tiling_of(n, cuda_of(run), SUMMING);
  n->keep_in = 1 << BN_X | 1 << BN_GAMMA;
  n->saved_bytes = n->out->wants_grad ? table_bytes(&t, N_COEFS) + passed_bytes(n, &t) : 0;
  n->forward_scratch = sums_bytes(&t) + (n->out->wants_grad ? 0 : table_bytes(&t, N_COEFS));
  n->backward_scratch = sums_bytes(&t) + table_bytes(&t, N_FACTORS);
  return OK;
}

/* Behind the coefficients. */
static unsigned char *passed_of(const struct node *n, const struct tiling *t) {
  return n->saved && passed_bytes(n, t) ? static_cast<unsigned char *>(n->saved) + table_bytes(t, N_COEFS)
                                        : nullptr;
}

/* --- Forward -------------------------------------------------------------------------------------------- */

template <int LANES, int ELEMENT>
static __global__ void __launch_bounds__(CUDA_THREADS, MOMENTS_AT_ONCE)
    moments(struct span x, struct tiling t, float *sums) {
  constexpr int ahead = AHEAD<LANES, ELEMENT>;
  struct walk w = walk_of<LANES>(t);
  struct vector total[N_SUMS] = {};
  if (w.inside) {
    struct packed top = load_lanes<LANES, ELEMENT>(x, (blockIdx.z * t.rows * t.channels + w.channel) / LANES);
    struct vector centre = lanes_of<LANES, ELEMENT>(top, x);
    for (; w.at < w.end; w.at += ahead * w.step) {
      struct packed rows[ahead];
      for (int a = 0; a < ahead; a++)
        rows[a] = w.at + a * w.step < w.end ? load_lanes<LANES, ELEMENT>(x, w.at + a * w.step) : top;
      for (int a = 0; a < ahead; a++) {
        struct vector v = lanes_of<LANES, ELEMENT>(rows[a], x);
        for (int k = 0; k < LANES; k++) {
          float d = v.lane[k] - centre.lane[k];
          total[SUM].lane[k] += d;
          total[SECOND].lane[k] += d * d;
        }
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

/* Running statistics take those of the batch, of which lane g has group g's, one after another. All lanes come here. */
static __device__ void move_running(const struct statistics &s, int64_t channel, int64_t groups, double count,
                                    double batch_mean, double batch_var) {
  const double m = *s.momentum;
  float mean = s.mean[channel], var = s.var[channel];
  for (int g = 0; g < CUDA_WARP && g < groups; g++) {
    mean = static_cast<float>((1 - m) * mean + m * __shfl_sync(0xffffffffu, batch_mean, g));
    var =
        static_cast<float>((1 - m) * var + m * __shfl_sync(0xffffffffu, batch_var, g) * count / (count - 1));
  }
  if (lane() > 0) return;
  s.mean[channel] = mean;
  s.var[channel] = var;
}

/* A warp per channel, a lane per group. */
static __global__ void find_coefficients(struct span x, struct tiling t, const float *sums,
                                         struct statistics s, float *coefs) {
  const int64_t channel = warp_row();
  if (channel >= t.channels) return;
  const bool real = channel < t.real_channels;
  const double count = static_cast<double>(t.rows);
  for (int64_t first = 0; first < t.groups; first += CUDA_WARP) {
    const int64_t group = first + lane();
    double total[N_SUMS] = {}, mean = 0, var = 0;
    if (s.of_batch) chunk_sums(sums, t, first, channel, total);
    if (group < t.groups && real && s.of_batch) {
      double shift = total[SUM] / count, square = total[SECOND] / count - shift * shift;
      mean = load(x, group * t.rows * t.channels + channel) + shift;
      var = square < 0 ? 0 : square; /* NaN stays */
    } else if (group < t.groups && real) {
      mean = s.mean[channel];
      var = s.var[channel];
    }
    if (group < t.groups)
      write_coefficients(coefs + group * N_COEFS * t.channels, t.channels, channel, s, real, mean, var);
    if (s.of_batch && real) move_running(s, channel, t.groups - first, count, mean, var);
  }
}

static __device__ __forceinline__ float normalised(float x, float mean, float scale, float beta) {
  return scale * (x - mean) + beta;
}

/* What follows the normalisation of a sum or a ReLU. */
struct outgoing {
  struct span y, residual; /* residual.data NULL: none */
  unsigned char *passed;   /* NULL: nobody asks */
  float floor;             /* of a ReLU 0, else -INFINITY */
};

template <int LANES, int ELEMENT>
static __global__ void __launch_bounds__(CUDA_THREADS, NORMALISE_AT_ONCE)
    normalise(struct outgoing out, struct span x, struct tiling t, const float *coefs) {
  constexpr int ahead = AHEAD<LANES, ELEMENT>;
  struct walk w = walk_of<LANES>(t);
  if (!w.inside) return;
  struct vector mean = entry<LANES>(coefs, N_COEFS, MEAN, t, w),
                scale = entry<LANES>(coefs, N_COEFS, SCALE, t, w),
                beta = entry<LANES>(coefs, N_COEFS, BETA, t, w);
  for (; w.at < w.end; w.at += ahead * w.step) {
    struct packed rows[ahead] = {}, residuals[ahead] = {};
    for (int a = 0; a < ahead; a++) {
      if (w.at + a * w.step >= w.end) continue;
      rows[a] = load_lanes<LANES, ELEMENT>(x, w.at + a * w.step);
      if (out.residual.data) residuals[a] = load_lanes<LANES, ELEMENT>(out.residual, w.at + a * w.step);
    }
    for (int a = 0; a < ahead; a++) {
      if (w.at + a * w.step >= w.end) continue;
      struct vector v = lanes_of<LANES, ELEMENT>(rows[a], x),
                    r = lanes_of<LANES, ELEMENT>(residuals[a], out.residual);
      unsigned passed = 0;
      for (int k = 0; k < LANES; k++) {
        float z = normalised(v.lane[k], mean.lane[k], scale.lane[k], beta.lane[k]) + r.lane[k];
        bool stops = z <= out.floor; /* NaN passes */
        v.lane[k] = stops ? out.floor : z;
        passed |= stops ? 0 : 1u << k;
      }
      store_lanes<LANES, ELEMENT>(out.y, w.at + a * w.step, v);
      if (out.passed) out.passed[w.at + a * w.step] = static_cast<unsigned char>(passed);
    }
  }
}

template <int LANES, int ELEMENT> static enum status forward_as(struct node *n, const struct run *run) {
  const struct batch_norm_attr *a = static_cast<const struct batch_norm_attr *>(n->attr);
  struct cuda *cuda = cuda_of(run);
  const struct tiling t = tiling_of(n, cuda, SUMMING), elementwise = tiling_of(n, cuda, ELEMENTWISE);
  float *sums = static_cast<float *>(n->scratch_f);
  float *coefs = n->saved ? static_cast<float *>(n->saved) : sums + sums_bytes(&t) / sizeof(float);
  struct span x = data_of(n->in[BN_X]);
  struct statistics s = {static_cast<const float *>(n->in[BN_GAMMA]->data),
                         static_cast<const float *>(n->in[BN_BETA]->data),
                         static_cast<float *>(n->in[BN_MEAN]->data),
                         static_cast<float *>(n->in[BN_VAR]->data),
                         a->eps,
                         cuda->bn_momentum,
                         run->mode != GRAPH_INFERENCE};
  struct outgoing out = {data_of(n->out), {}, passed_of(n, &t), a->relu ? 0 : -INFINITY};
  if (a->residual) out.residual = data_of(n->in[BN_RESIDUAL]);
  enum status st = OK;
  if (s.of_batch) TRY(launch(moments<LANES, ELEMENT>, grid_of(&t), block_of(&t), 0, cuda, x, t, sums));
  TRY(launch(find_coefficients, cuda_row_grid(t.channels), CUDA_THREADS, 0, cuda, x, t, sums, s, coefs));
  TRY(launch(normalise<LANES, ELEMENT>, grid_of(&elementwise), block_of(&elementwise), 0, cuda, out, x,
             elementwise, coefs));
out:
  return st;
}

static enum status forward(struct node *n, const struct run *run) {
  struct tiling t = tiling_of(n, cuda_of(run), SUMMING);
  struct span x = data_of(n->in[BN_X]), y = data_of(n->out), residual = {};
  if (static_cast<const struct batch_norm_attr *>(n->attr)->residual) residual = data_of(n->in[BN_RESIDUAL]);
  if (lanes_of(&t) == 1) return forward_as<1, ELEMENT_ANY>(n, run);
  return by_element({x, y, residual}, [&](auto element) { return forward_as<CUDA_LANES, element>(n, run); });
}

/* --- Backward ------------------------------------------------------------------------------------------- */

/* What the gradient passes read. g = dy where the ReLU let pass: `passed` says it, or z > 0; else dy. */
struct incoming {
  struct span x, dy;
  const unsigned char *passed; /* or NULL */
  bool z_decides;
};

/* A thread's rows of it, and of them what the ReLU let pass. */
template <int LANES, int ELEMENT> struct arriving {
  struct packed x[AHEAD<LANES, ELEMENT>], dy[AHEAD<LANES, ELEMENT>];
  unsigned passed[AHEAD<LANES, ELEMENT>];
};

template <int LANES, int ELEMENT>
static __device__ __forceinline__ void arrive(struct arriving<LANES, ELEMENT> *rows,
                                              const struct incoming &in, const struct walk &w) {
  for (int a = 0; a < AHEAD<LANES, ELEMENT>; a++) {
    if (w.at + a * w.step >= w.end) continue;
    rows->x[a] = load_lanes<LANES, ELEMENT>(in.x, w.at + a * w.step);
    rows->dy[a] = load_lanes<LANES, ELEMENT>(in.dy, w.at + a * w.step);
    rows->passed[a] = in.passed ? in.passed[w.at + a * w.step] : ~0u;
  }
}

template <int LANES>
static __device__ __forceinline__ void rectify(struct vector *g, const struct incoming &in, unsigned passed,
                                               const struct vector &x, const struct vector &mean,
                                               const struct vector &scale, const struct vector &beta) {
  for (int k = 0; k < LANES; k++) {
    bool stops = in.z_decides ? normalised(x.lane[k], mean.lane[k], scale.lane[k], beta.lane[k]) <= 0
                              : !(passed >> k & 1);
    if (stops) g->lane[k] = 0;
  }
}

template <int LANES, int ELEMENT>
static __global__ void __launch_bounds__(CUDA_THREADS, GRADIENT_AT_ONCE)
    gradient_sums(struct incoming in, struct span dresidual, struct tiling t, const float *coefs,
                  float *sums) {
  struct walk w = walk_of<LANES>(t);
  struct vector total[N_SUMS] = {};
  if (w.inside) {
    struct vector mean = entry<LANES>(coefs, N_COEFS, MEAN, t, w),
                  scale = entry<LANES>(coefs, N_COEFS, SCALE, t, w),
                  beta = entry<LANES>(coefs, N_COEFS, BETA, t, w);
    struct arriving<LANES, ELEMENT> rows = {};
    for (; w.at < w.end; w.at += AHEAD<LANES, ELEMENT> * w.step) {
      arrive(&rows, in, w);
      for (int a = 0; a < AHEAD<LANES, ELEMENT>; a++) {
        if (w.at + a * w.step >= w.end) continue;
        struct vector x = lanes_of<LANES, ELEMENT>(rows.x[a], in.x),
                      g = lanes_of<LANES, ELEMENT>(rows.dy[a], in.dy);
        rectify<LANES>(&g, in, rows.passed[a], x, mean, scale, beta);
        if (dresidual.data) store_lanes<LANES, ELEMENT>(dresidual, w.at + a * w.step, g);
        for (int k = 0; k < LANES; k++) {
          total[SUM].lane[k] += g.lane[k];
          total[SECOND].lane[k] += g.lane[k] * (x.lane[k] - mean.lane[k]);
        }
      }
    }
  }
  column_sums<LANES>(total, t, sums);
}

/* dx = gamma/s (g - mean(g) - xhat mean(g xhat)), with xhat = (x - mean)/s, as scale g - slope (x - mean) - offset. */
static __global__ void find_factors(struct tiling t, const float *sums, const float *coefs, float *factors,
                                    float *dgamma, float *dbeta) {
  const int64_t channel = warp_row();
  if (channel >= t.channels) return;
  double count = static_cast<double>(t.rows), scale_grad = 0, shift_grad = 0;
  for (int64_t first = 0; first < t.groups; first += CUDA_WARP) {
    const int64_t group = first + lane();
    double total[N_SUMS] = {};
    chunk_sums(sums, t, first, channel, total);
    if (group >= t.groups) continue;
    const float *c = coefs + group * N_COEFS * t.channels + channel;
    float *f = factors + group * N_FACTORS * t.channels + channel;
    double scale = c[SCALE * t.channels], inverse = c[INVERSE * t.channels];
    f[SLOPE * t.channels] = static_cast<float>(scale * inverse * inverse * total[SECOND] / count);
    f[OFFSET * t.channels] = static_cast<float>(scale * total[SUM] / count);
    scale_grad += total[SECOND] * inverse;
    shift_grad += total[SUM];
  }
  scale_grad = warp_sum(scale_grad);
  shift_grad = warp_sum(shift_grad);
  if (lane() > 0 || channel >= t.real_channels) return;
  if (dgamma) dgamma[channel] = static_cast<float>(scale_grad);
  if (dbeta) dbeta[channel] = static_cast<float>(shift_grad);
}

template <int LANES, int ELEMENT>
static __global__ void __launch_bounds__(CUDA_THREADS, GRADIENT_AT_ONCE)
    gradient(struct span dx, struct incoming in, struct tiling t, const float *coefs, const float *factors) {
  struct walk w = walk_of<LANES>(t);
  if (!w.inside) return;
  struct vector mean = entry<LANES>(coefs, N_COEFS, MEAN, t, w),
                scale = entry<LANES>(coefs, N_COEFS, SCALE, t, w),
                beta = entry<LANES>(coefs, N_COEFS, BETA, t, w),
                slope = entry<LANES>(factors, N_FACTORS, SLOPE, t, w),
                offset = entry<LANES>(factors, N_FACTORS, OFFSET, t, w);
  struct arriving<LANES, ELEMENT> rows = {};
  for (; w.at < w.end; w.at += AHEAD<LANES, ELEMENT> * w.step) {
    arrive(&rows, in, w);
    for (int a = 0; a < AHEAD<LANES, ELEMENT>; a++) {
      if (w.at + a * w.step >= w.end) continue;
      struct vector x = lanes_of<LANES, ELEMENT>(rows.x[a], in.x),
                    g = lanes_of<LANES, ELEMENT>(rows.dy[a], in.dy);
      rectify<LANES>(&g, in, rows.passed[a], x, mean, scale, beta);
      for (int k = 0; k < LANES; k++)
        g.lane[k] = scale.lane[k] * g.lane[k] - slope.lane[k] * (x.lane[k] - mean.lane[k]) - offset.lane[k];
      store_lanes<LANES, ELEMENT>(dx, w.at + a * w.step, g);
    }
  }
}

template <int LANES, int ELEMENT>
static enum status backward_as(struct node *n, const struct run *run, struct span dresidual) {
  struct cuda *cuda = cuda_of(run);
  const struct tiling t = tiling_of(n, cuda, SUMMING), elementwise = tiling_of(n, cuda, ELEMENTWISE);
  const float *coefs = static_cast<const float *>(n->saved);
  float *sums = static_cast<float *>(n->scratch_b), *factors = sums + sums_bytes(&t) / sizeof(float);
  const unsigned char *passed = passed_of(n, &t);
  const bool relu = static_cast<const struct batch_norm_attr *>(n->attr)->relu;
  struct incoming in = {data_of(n->in[BN_X]), grad_of(n->out), passed, relu && !passed};
  enum status st = OK;
  TRY(launch(gradient_sums<LANES, ELEMENT>, grid_of(&t), block_of(&t), 0, cuda, in, dresidual, t, coefs,
             sums));
  TRY(launch(find_factors, cuda_row_grid(t.channels), CUDA_THREADS, 0, cuda, t, sums, coefs, factors,
             static_cast<float *>(n->in_grad[BN_GAMMA]), static_cast<float *>(n->in_grad[BN_BETA])));
  /* The residual's gradient is g already. */
  if (dresidual.data) in = {in.x, dresidual, nullptr, false};
  if (n->in_grad[BN_X])
    TRY(launch(gradient<LANES, ELEMENT>, grid_of(&elementwise), block_of(&elementwise), 0, cuda,
               span_of(n->in[BN_X], n->in_grad[BN_X]), in, elementwise, coefs, factors));
out:
  return st;
}

static enum status backward(struct node *n, const struct run *run) {
  struct tiling t = tiling_of(n, cuda_of(run), SUMMING);
  struct span x = data_of(n->in[BN_X]), dy = grad_of(n->out), dresidual = {};
  if (static_cast<const struct batch_norm_attr *>(n->attr)->residual)
    dresidual = span_of(n->in[BN_RESIDUAL], n->in_grad[BN_RESIDUAL]);
  if (lanes_of(&t) == 1) return backward_as<1, ELEMENT_ANY>(n, run, dresidual);
  return by_element({x, dy, dresidual},
                    [&](auto element) { return backward_as<CUDA_LANES, element>(n, run, dresidual); });
}

} // namespace

CUDA_KERNEL(batch_norm) = {
    .op = "batch_norm", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
