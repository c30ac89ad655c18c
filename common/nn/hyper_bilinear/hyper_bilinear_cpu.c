/* W passes through memory once forward and once backward, dW once; everything else stays in the caches.
 *
 *   forward   Y = W[o] t^T  [i,b],          out[b,o] = sum_i r[b,i] Y[i,b]
 *   backward  dW[o] = (g[b,o] r[b,i])^T t   [i,k]
 *             Q = g W[.,i]  [b,k],          dr[b,i] = sum_k t[b,k] Q[b,k],  dt[b,k] = sum_i r[b,i] Q[b,k]
 *
 * Each is a product for one o, or one i, whose right side is packed into panels and whose left side is read
 * as it lies. Nothing depends on the number of threads: what is summed up over i is cut into SLICES. */
#include <omp.h>
#include <string.h>

#include "nn/cpu.h"
#include "nn/hyper_bilinear/hyper_bilinear.h"
#include "nn/hyper_bilinear/hyper_bilinear_loops.h"

enum {
  L1_FLOATS = 3072, /* of what is read again for every panel, beside the panel */
  SLAB = 512,       /* columns of Q at a time, about */
  SLICES = 32       /* of the i */
};

struct dims {
  int64_t batch, d, k;
};

static struct dims dims_of(const struct node *n) {
  return (struct dims){n->out->shape.dim[0], n->out->shape.dim[1], n->in[HYPER_T]->shape.dim[1]};
}

static int64_t panels_of(int64_t columns) { return (columns + PANEL - 1) / PANEL; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Rows of `width` numbers that fit `room` numbers: a multiple of 6, the rows of a tile. */
static int64_t rows_in(int64_t room, int64_t width) { return greatest(room / width / 6, 1) * 6; }

/* x [n, columns], its rows `stride` apart, as panels [p][n][16]; zeros behind the last column. */
static void pack(const float *x, int64_t n, int64_t columns, int64_t stride, float *panels) {
  for (int64_t j = 0; j < n; j++) {
    for (int64_t c = 0; c < columns; c += PANEL) {
      const float *from = x + j * stride + c;
      float *to = panels + c * n + j * PANEL;
      if (columns - c >= PANEL) {
        memcpy(to, from, PANEL * sizeof *to);
        continue;
      }
      for (int64_t k = 0; k < PANEL; k++) to[k] = k < columns - c ? from[k] : 0;
    }
  }
}

/* x [columns, n] the same way. */
static void pack_transposed(const float *x, int64_t n, int64_t columns, float *panels) {
  memset(panels, 0, (size_t)(panels_of(columns) * n * PANEL) * sizeof *panels);
  for (int64_t c = 0; c < columns; c++)
    for (int64_t j = 0; j < n; j++) panels[(c / PANEL * n + j) * PANEL + c % PANEL] = x[c * n + j];
}

/* A hint: where there is nothing, nothing happens. */
static void prefetch(const float *x, int64_t count) {
  for (int64_t j = 0; j < count; j += PANEL) __builtin_prefetch(x + j);
}

/* --- Scratch -------------------------------------------------------------------------------------------- */

struct forward_scratch {
  float *t, *r; /* panels over b: [p][K][16], [p][D][16] */
};

struct backward_scratch {
  float *t;         /* panels over k: [p][B][16] */
  float *r;         /* [D][B] */
  float *dt;        /* [SLICES][B][K] */
  float *of_thread; /* of `per_thread` numbers each */
  int64_t per_thread;
};

static size_t forward_layout(const struct dims *s, float *at, struct forward_scratch *f) {
  const int64_t panels = panels_of(s->batch);
  *f = (struct forward_scratch){at, at + panels * s->k * PANEL};
  return (size_t)(panels * (s->k + s->d) * PANEL) * sizeof *at;
}

static int64_t rows_of_dw(const struct dims *s) {
  return least(s->d, rows_in(L1_FLOATS, greatest(s->batch, s->k)));
}

/* Values of i whose Q is made at a time, and the columns of W that are theirs. */
static int64_t slab(const struct dims *s) { return greatest(SLAB / s->k, 1); }
static int64_t slab_width(const struct dims *s) { return panels_of(slab(s) * s->k) * PANEL; }

static size_t backward_layout(const struct dims *s, int threads, float *at, struct backward_scratch *b) {
  const int64_t t = panels_of(s->k) * s->batch * PANEL, r = s->d * s->batch, dt = s->batch * s->k;
  const int64_t for_dw = (1 + rows_of_dw(s)) * s->batch, for_q = slab_width(s) * (s->d + s->batch);
  *b = (struct backward_scratch){at, at + t, at + t + r, at + t + r + SLICES * dt, greatest(for_dw, for_q)};
  return (size_t)(t + r + SLICES * dt + threads * b->per_thread) * sizeof *at;
}

static enum status prepare(struct node *n, const struct run *run) {
  const struct cpu *cpu = run->device;
  const struct dims s = dims_of(n);
  struct forward_scratch f;
  struct backward_scratch b;
  n->keep_in = 1 << HYPER_W | 1 << HYPER_T | 1 << HYPER_R;
  n->forward_scratch = forward_layout(&s, NULL, &f);
  n->backward_scratch = backward_layout(&s, cpu->threads, NULL, &b);
  return OK;
}

/* --- Forward -------------------------------------------------------------------------------------------- */

/* out[.,o], a part of the i at a time, whose rows of W stay in the cache for all b while the next ones come. */
static void apply_output(const struct node *n, const struct dims *s, const struct forward_scratch *f,
                         int64_t o) {
  const float *w = n->in[HYPER_W]->data;
  const int64_t step = rows_in(L1_FLOATS, s->k), panels = panels_of(s->batch);
  float *out = n->out->data;
  for (int64_t i = 0; i < s->d; i += step) {
    const struct hyper_rows rows = {w + (o * s->d + i) * s->k, least(step, s->d - i), s->k, s->k};
    for (int64_t p = 0; p < panels; p++) {
      float sum[PANEL] = {0};
      prefetch(rows.a + (step + p * step / panels) * s->k, step * s->k / panels);
      hyper_weighted_sum(&rows, f->t + p * s->k * PANEL, f->r + (p * s->d + i) * PANEL, sum);
      for (int64_t j = 0, b = p * PANEL; j < PANEL && b + j < s->batch; j++)
        out[(b + j) * s->d + o] = sum[j] + (i ? out[(b + j) * s->d + o] : 0);
    }
  }
}

static enum status forward(struct node *n, const struct run *run) {
  (void)run;
  const struct dims s = dims_of(n);
  struct forward_scratch f;
  forward_layout(&s, n->scratch_f, &f);
  pack_transposed(n->in[HYPER_T]->data, s.k, s.batch, f.t);
  pack_transposed(n->in[HYPER_R]->data, s.d, s.batch, f.r);
#pragma omp parallel for schedule(static)
  for (int64_t o = 0; o < s.d; o++) apply_output(n, &s, &f, o);
  return OK;
}

/* --- Backward ------------------------------------------------------------------------------------------- */

/* dW[o] = P^T t, where P[i][b] = g[b,o] r[b,i] is made a few rows at a time. */
static void weight_gradient(const struct node *n, const struct dims *s, const struct backward_scratch *b,
                            int64_t o, float *scratch) {
  const float *g = n->out->grad;
  float *dw = (float *)n->in_grad[HYPER_W] + o * s->d * s->k, *g_o = scratch, *p = scratch + s->batch;
  const int64_t step = rows_of_dw(s);
  for (int64_t row = 0; row < s->batch; row++) g_o[row] = g[row * s->d + o];
  for (int64_t i = 0; i < s->d; i += step) {
    const struct hyper_rows rows = {p, least(step, s->d - i), s->batch, s->batch};
    for (int64_t r = 0; r < rows.rows; r++)
      for (int64_t row = 0; row < s->batch; row++)
        p[r * s->batch + row] = g_o[row] * b->r[(i + r) * s->batch + row];
    for (int64_t k = 0; k < s->k; k += PANEL)
      hyper_product(&rows, b->t + k * s->batch, dw + i * s->k + k, s->k, least(PANEL, s->k - k));
  }
}

/* Q of `count` values of i, [B, panels of count*K], from the same columns of W packed into panels. */
static void output_products(const struct node *n, const struct dims *s, int64_t i, int64_t count,
                            float *panels, float *q) {
  const float *g = n->out->grad, *w = n->in[HYPER_W]->data;
  const int64_t width = panels_of(count * s->k) * PANEL;
  const struct hyper_rows rows = {g, s->batch, s->d, s->d};
  pack(w + i * s->k, s->d, count * s->k, s->d * s->k, panels);
  for (int64_t c = 0; c < width; c += PANEL) hyper_product(&rows, panels + c * s->d, q + c, width, PANEL);
}

/* dr of `count` values of i, and what they add to dt. */
CPU_CLONES static void reduce_products(const struct node *n, const struct dims *s, int64_t i, int64_t count,
                                       const float *q, float *dt) {
  const float *t = n->in[HYPER_T]->data, *r = n->in[HYPER_R]->data;
  float *dr = n->in_grad[HYPER_R];
  for (int64_t b = 0; b < s->batch; b++) {
    for (int64_t j = 0; j < count; j++) {
      const float *from = q + b * panels_of(count * s->k) * PANEL + j * s->k;
      const float x = r[b * s->d + i + j];
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < s->k; k++) sum += t[b * s->k + k] * from[k];
      if (dr) dr[b * s->d + i + j] = sum;
#pragma omp simd
      for (int64_t k = 0; k < s->k; k++) dt[b * s->k + k] += x * from[k];
    }
  }
}

static void sum_slices(const struct dims *s, const float *parts, float *dt) {
  const int64_t count = s->batch * s->k;
#pragma omp parallel for schedule(static)
  for (int64_t j = 0; j < count; j++) {
    double sum = 0;
    for (int64_t slice = 0; slice < SLICES; slice++) sum += (double)parts[slice * count + j];
    dt[j] = (float)sum;
  }
}

static void input_gradients(const struct node *n, const struct dims *s, const struct backward_scratch *b) {
  const int64_t count = s->batch * s->k;
#pragma omp parallel for schedule(static)
  for (int64_t slice = 0; slice < SLICES; slice++) {
    float *panels = b->of_thread + omp_get_thread_num() * b->per_thread;
    float *q = panels + slab_width(s) * s->d, *dt = b->dt + slice * count;
    memset(dt, 0, (size_t)count * sizeof *dt);
    for (int64_t i = slice * s->d / SLICES, end = (slice + 1) * s->d / SLICES; i < end; i += slab(s)) {
      const int64_t some = least(slab(s), end - i);
      output_products(n, s, i, some, panels, q);
      reduce_products(n, s, i, some, q, dt);
    }
  }
  if (n->in_grad[HYPER_T]) sum_slices(s, b->dt, n->in_grad[HYPER_T]);
}

static void transpose(const float *x, int64_t rows, int64_t columns, float *to) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) to[c * rows + r] = x[r * columns + c];
}

static enum status backward(struct node *n, const struct run *run) {
  const struct cpu *cpu = run->device;
  const struct dims s = dims_of(n);
  struct backward_scratch b;
  backward_layout(&s, cpu->threads, n->scratch_b, &b);
  if (n->in_grad[HYPER_W]) {
    pack(n->in[HYPER_T]->data, s.batch, s.k, s.k, b.t);
    transpose(n->in[HYPER_R]->data, s.batch, s.d, b.r);
#pragma omp parallel for schedule(static)
    for (int64_t o = 0; o < s.d; o++)
      weight_gradient(n, &s, &b, o, b.of_thread + omp_get_thread_num() * b.per_thread);
  }
  if (n->in_grad[HYPER_T] || n->in_grad[HYPER_R]) input_gradients(n, &s, &b);
  return OK;
}

const struct kernel kernel_hyper_bilinear_cpu = {
    .op = "hyper_bilinear", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
