/* BatchNorm in two passes over the data each way, in whatever layout the input has.
 *
 * The rows of a group are cut into chunks, by their number alone; a chunk's sums are float64 and are added up
 * in order. So the result does not depend on the number of threads. Statistics are moments about the first
 * number of each channel, which keeps the variance exact where the mean is far from zero. The ReLU's
 * derivative is recomputed from x, or read from y where a residual was added. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/batch_norm/batch_norm.h"
#include "nn/batch_norm/batch_norm_loops.h"
#include "nn/cpu.h"

enum { MAX_CHUNKS = 32 };

/* Coefficients are expanded to 16 slots per block of channels: slot j of block b is channel b*lanes + j %
 * lanes. */
struct plan {
  struct cpu_view v;
  int64_t groups, rows, chunks, slots; /* rows per group, chunks per group, slots in all */
};

/* saved, or forward scratch when nothing goes back: float [groups][N_COEFS][slots] */
enum { MEAN, SCALE, BETA, INVERSE, N_COEFS };
/* backward scratch: float [groups][N_FACTORS][slots], behind the sums */
enum { FACTOR, SLOPE, OFFSET, N_FACTORS };

static struct plan plan_of(const struct node *n) {
  const struct batch_norm_attr *a = n->attr;
  struct plan p = {.v = cpu_view(n->out->shape, n->out->layout), .groups = a->groups};
  p.rows = p.v.rows / p.groups;
  p.chunks = p.rows < MAX_CHUNKS ? p.rows : MAX_CHUNKS;
  p.slots = 16 * p.v.blocks;
  return p;
}

static size_t sums_bytes(const struct plan *p) {
  return (size_t)(p->groups * p->chunks * p->slots) * 2 * sizeof(double);
}

/* Copies of a residual in another layout than x, and of its gradient; empty in most networks. */
struct bn_state {
  struct cpu_copy in, out;
  size_t in_offset, out_offset; /* in the scratches, when copied */
};

static enum status prepare_residual(struct node *n, struct cpu *cpu) {
  struct bn_state *s = n->state;
  struct tensor *residual = n->in[BN_RESIDUAL];
  tensor_lay_out(residual, n->out->layout);
  enum status st = cpu_settle(residual);
  dnnl_memory_desc_t theirs = cpu_desc(residual->shape, residual->layout),
                     ours = cpu_desc(n->out->shape, n->out->layout);
  if (st == OK) st = cpu_copy_make(&s->in, cpu, theirs, ours);
  if (st == OK) st = cpu_copy_make(&s->out, cpu, ours, theirs);
  if (st != OK || !s->in.reorder) return st;
  s->in_offset = n->forward_scratch;
  s->out_offset = n->backward_scratch;
  n->forward_scratch += cpu_bytes(&n->out->shape, n->out->layout);
  n->backward_scratch += cpu_bytes(&n->out->shape, n->out->layout);
  return OK;
}

static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

static enum status prepare(struct node *n, const struct run *run) {
  const struct batch_norm_attr *a = n->attr;
  enum status st = cpu_settle(n->in[BN_X]);
  if (st != OK) return st;
  n->state = calloc(1, sizeof(struct bn_state));
  if (!n->state) return fail(E_MEMORY, "out of memory for a BatchNorm");
  n->out->layout = n->in[BN_X]->layout;
  struct plan p = plan_of(n);
  size_t coefficients = (size_t)(p.groups * N_COEFS * p.slots) * sizeof(float);
  n->keep_in = 1 << BN_X | 1 << BN_GAMMA;
  n->keep_out = a->residual;
  n->saved_bytes = n->out->wants_grad ? coefficients : 0;
  n->forward_scratch = rounded(sums_bytes(&p)) + (n->out->wants_grad ? 0 : rounded(coefficients));
  n->backward_scratch =
      rounded(sums_bytes(&p)) + rounded((size_t)(p.groups * N_FACTORS * p.slots) * sizeof(float));
  return a->residual ? prepare_residual(n, run->device) : OK;
}

static enum status bind(struct node *n, const struct run *run) {
  const struct batch_norm_attr *a = n->attr;
  struct bn_state *s = n->state;
  if (!a->residual || !s->in.reorder) return OK;
  enum status st =
      cpu_copy_bind(&s->in, run->device, n->in[BN_RESIDUAL]->data, (char *)n->scratch_f + s->in_offset);
  if (st != OK || !n->in_grad[BN_RESIDUAL]) return st;
  return cpu_copy_bind(&s->out, run->device, (char *)n->scratch_b + s->out_offset, n->in_grad[BN_RESIDUAL]);
}

static void release(struct node *n) {
  struct bn_state *s = n->state;
  if (!s) return;
  cpu_copy_free(&s->in);
  cpu_copy_free(&s->out);
  free(s);
}

/* --- Walking over the data ------------------------------------------------------------------------------ */

struct work {
  struct plan plan;
  struct bn_piece piece; /* pointers to the start of each tensor */
  double *sums;          /* [groups][chunks][slots][2] */
  const float *coefficients, *factors;
};

static const float *offset(const float *p, int64_t by) { return p ? p + by : NULL; }

/* The piece of `block` in image `row` of `group`. */
static struct bn_piece piece_at(const struct work *w, int64_t group, int64_t row, int64_t block) {
  const struct plan *p = &w->plan;
  const float *c = w->coefficients + group * N_COEFS * p->slots + 16 * block;
  int64_t at = row * p->v.row + block * p->v.block_stride;
  struct bn_piece s = w->piece;
  s.runs = p->v.runs;
  s.stride = p->v.run_stride;
  s.length = cpu_run_length(&p->v, block);
  s.mean = c + MEAN * p->slots;
  s.scale = c + SCALE * p->slots;
  s.beta = c + BETA * p->slots;
  s.x = offset(s.x, at);
  s.residual = offset(s.residual, at);
  s.dy = offset(s.dy, at);
  s.y_kept = offset(s.y_kept, at);
  if (s.y) s.y += at;
  if (s.dx) s.dx += at;
  if (s.dresidual) s.dresidual += at;
  if (!w->factors) return s;
  c = w->factors + group * N_FACTORS * p->slots + 16 * block;
  s.factor = c + FACTOR * p->slots;
  s.slope = c + SLOPE * p->slots;
  s.offset = c + OFFSET * p->slots;
  return s;
}

enum pass { MOMENTS, NORMALISE, GRADIENT_SUMS, GRADIENT };

static void run_piece(const struct work *w, enum pass pass, const struct bn_piece *s, double *sums) {
  switch (pass) {
  case MOMENTS: bn_moments(s, sums, sums + w->plan.slots); break;
  case NORMALISE: bn_normalise(s); break;
  case GRADIENT_SUMS: bn_gradient_sums(s, sums, sums + w->plan.slots); break;
  case GRADIENT: bn_gradient(s); break;
  }
}

/* One pass over all pieces; a chunk's sums are cleared first. */
static void run_pass(const struct work *w, enum pass pass) {
  const struct plan *p = &w->plan;
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < p->groups * p->chunks; task++) {
    int64_t group = task / p->chunks, chunk = task % p->chunks;
    int64_t from = p->rows * chunk / p->chunks, to = p->rows * (chunk + 1) / p->chunks;
    double *sums = w->sums + task * 2 * p->slots;
    if (pass == MOMENTS || pass == GRADIENT_SUMS) memset(sums, 0, (size_t)(2 * p->slots) * sizeof *sums);
    for (int64_t row = group * p->rows + from; row < group * p->rows + to; row++) {
      for (int64_t block = 0; block < p->v.blocks; block++) {
        struct bn_piece s = piece_at(w, group, row, block);
        run_piece(w, pass, &s, sums + 16 * block);
      }
    }
  }
}

/* The slot of a channel's first number; its others are `lanes`
 * further each, below the next multiple of 16. */
static int64_t slot_of(const struct plan *p, int64_t channel) {
  return channel / p->v.lanes * 16 + channel % p->v.lanes;
}

/* A channel's two sums over a group: chunks in order, slots in order. */
static void channel_sums(const struct work *w, int64_t group, int64_t channel, double total[2]) {
  const struct plan *p = &w->plan;
  int64_t first = slot_of(p, channel), end = (first / 16 + 1) * 16;
  total[0] = total[1] = 0;
  for (int64_t chunk = 0; chunk < p->chunks; chunk++) {
    const double *sums = w->sums + (group * p->chunks + chunk) * 2 * p->slots;
    for (int64_t slot = first; slot < end; slot += p->v.lanes) {
      total[0] += sums[slot];
      total[1] += sums[p->slots + slot];
    }
  }
}

/* Writes a coefficient to all slots of a channel. */
static void expand(const struct plan *p, float *slots, int64_t channel, double value) {
  int64_t first = slot_of(p, channel), end = (first / 16 + 1) * 16;
  for (int64_t slot = first; slot < end; slot += p->v.lanes) slots[slot] = (float)value;
}

/* --- Forward -------------------------------------------------------------------------------------------- */

/* The first number of each channel of a group: near its mean, whatever that is. */
static void choose_centres(const struct work *w, float *coefficients) {
  const struct plan *p = &w->plan;
  for (int64_t group = 0; group < p->groups; group++) {
    for (int64_t c = 0; c < p->v.channels; c++) {
      const float *x = w->piece.x + group * p->rows * p->v.row;
      expand(p, coefficients + (group * N_COEFS + MEAN) * p->slots, c,
             x[c / p->v.lanes * p->v.block_stride + c % p->v.lanes]);
    }
  }
}

/* Mean and biased variance of a channel in a group, and the running ones moved towards them. */
static void batch_statistics(const struct work *w, struct node *n, const struct run *run, int64_t group,
                             int64_t c, double centre, double *mean, double *var) {
  double sums[2], count = (double)(w->plan.rows * w->plan.v.area), m = run->bn_momentum;
  float *running_mean = n->in[BN_MEAN]->data, *running_var = n->in[BN_VAR]->data;
  channel_sums(w, group, c, sums);
  *mean = centre + sums[0] / count;
  *var = fmax(sums[1] / count - sums[0] / count * (sums[0] / count), 0);
  if (isnan(sums[1])) *var = sums[1];
  running_mean[c] = (float)((1 - m) * running_mean[c] + m * *mean);
  running_var[c] = (float)((1 - m) * running_var[c] + m * *var * count / (count - 1));
}

static void find_coefficients(const struct work *w, struct node *n, const struct run *run,
                              float *coefficients) {
  const struct batch_norm_attr *a = n->attr;
  const struct plan *p = &w->plan;
  const float *gamma = n->in[BN_GAMMA]->data, *beta = n->in[BN_BETA]->data;
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < p->v.channels; c++) {
    for (int64_t group = 0; group < p->groups; group++) {
      float *to = coefficients + group * N_COEFS * p->slots;
      double mean = ((const float *)n->in[BN_MEAN]->data)[c], var = ((const float *)n->in[BN_VAR]->data)[c];
      if (run->mode != GRAPH_INFERENCE)
        batch_statistics(w, n, run, group, c, to[MEAN * p->slots + slot_of(p, c)], &mean, &var);
      double inverse = 1 / sqrt(var + a->eps);
      expand(p, to + MEAN * p->slots, c, mean);
      expand(p, to + SCALE * p->slots, c, gamma[c] * inverse);
      expand(p, to + BETA * p->slots, c, beta[c]);
      expand(p, to + INVERSE * p->slots, c, inverse);
    }
  }
}

static enum status forward(struct node *n, const struct run *run) {
  const struct batch_norm_attr *a = n->attr;
  struct bn_state *s = n->state;
  struct work w = {.plan = plan_of(n), .sums = n->scratch_f};
  float *coefficients = n->saved ? n->saved : (void *)((char *)n->scratch_f + rounded(sums_bytes(&w.plan)));
  w.coefficients = coefficients;
  w.piece = (struct bn_piece){.x = n->in[BN_X]->data, .y = n->out->data, .relu = a->relu};
  if (a->residual) {
    enum status st = cpu_copy_run(&s->in, run->device);
    if (st != OK) return st;
    w.piece.residual =
        s->in.reorder ? (void *)((char *)n->scratch_f + s->in_offset) : n->in[BN_RESIDUAL]->data;
  }
  memset(coefficients, 0, (size_t)(w.plan.groups * N_COEFS * w.plan.slots) * sizeof(float));
  if (run->mode != GRAPH_INFERENCE) {
    choose_centres(&w, coefficients);
    run_pass(&w, MOMENTS);
  }
  find_coefficients(&w, n, run, coefficients);
  run_pass(&w, NORMALISE);
  return OK;
}

/* --- Backward ------------------------------------------------------------------------------------------- */

/* dx = gamma/s (g - mean(g) - xhat mean(g xhat)), with xhat = (x - mean)/s. */
static void find_factors(const struct work *w, struct node *n, float *factors) {
  const struct plan *p = &w->plan;
  const float *gamma = n->in[BN_GAMMA]->data;
  float *dgamma = n->in_grad[BN_GAMMA], *dbeta = n->in_grad[BN_BETA];
  double count = (double)(p->rows * p->v.area);
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < p->v.channels; c++) {
    double scale_grad = 0, shift_grad = 0;
    for (int64_t group = 0; group < p->groups; group++) {
      double inverse = w->coefficients[(group * N_COEFS + INVERSE) * p->slots + slot_of(p, c)], sums[2];
      float *to = factors + group * N_FACTORS * p->slots;
      channel_sums(w, group, c, sums);
      scale_grad += sums[1] * inverse;
      shift_grad += sums[0];
      expand(p, to + FACTOR * p->slots, c, gamma[c] * inverse);
      expand(p, to + SLOPE * p->slots, c, gamma[c] * inverse * inverse * inverse * sums[1] / count);
      expand(p, to + OFFSET * p->slots, c, gamma[c] * inverse * sums[0] / count);
    }
    if (dgamma) dgamma[c] = (float)scale_grad;
    if (dbeta) dbeta[c] = (float)shift_grad;
  }
}

static enum status backward(struct node *n, const struct run *run) {
  const struct batch_norm_attr *a = n->attr;
  struct bn_state *s = n->state;
  struct work w = {.plan = plan_of(n), .sums = n->scratch_b, .coefficients = n->saved};
  float *factors = (void *)((char *)n->scratch_b + rounded(sums_bytes(&w.plan)));
  w.piece =
      (struct bn_piece){.x = n->in[BN_X]->data, .dy = n->out->grad, .dx = n->in_grad[BN_X], .relu = a->relu};
  if (a->residual) {
    bool copied = s->out.reorder && n->in_grad[BN_RESIDUAL];
    w.piece.y_kept = n->out->data;
    w.piece.dresidual = copied ? (void *)((char *)n->scratch_b + s->out_offset) : n->in_grad[BN_RESIDUAL];
  }
  run_pass(&w, GRADIENT_SUMS);
  memset(factors, 0, (size_t)(w.plan.groups * N_FACTORS * w.plan.slots) * sizeof(float));
  find_factors(&w, n, factors);
  w.factors = factors;
  if (w.piece.dx) run_pass(&w, GRADIENT);
  return a->residual && n->in_grad[BN_RESIDUAL] ? cpu_copy_run(&s->out, run->device) : OK;
}

const struct kernel kernel_batch_norm_cpu = {.op = "batch_norm",
                                             .backend = "cpu",
                                             .prepare = prepare,
                                             .bind = bind,
                                             .forward = forward,
                                             .backward = backward,
                                             .release = release};
