#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/softmax_regression/softmax_regression_variant.h"

/* LANES bounds the useful threads and fixes the order of summation. A block of rows is converted to float64
 * and used twice, for logits and for the gradient, while it is in the cache. Each tile of A'A is one product by
 * one thread, whatever their number. */
enum {
  LANES = 16,
  BLOCK = 128,
  MIN_PRODUCTS = 2000000 /* rows x parameters for each thread */,
  GRAM_BLOCK = 256,
  TILE = 128
};

struct lane {
  double *rows;     /* [BLOCK, dim + 1]: the features, then 1, which meets the bias */
  double *logits;   /* [BLOCK, classes]: logits, then their derivative */
  double *gradient; /* [params] */
  double loss;
  int64_t *correct, *count; /* [classes] */
};

static enum status lane_open(struct lane *lane, const struct softmax_regression *s) {
  size_t classes = (size_t)s->classes;
  lane->rows = malloc((size_t)(BLOCK * (s->dim + 1)) * sizeof *lane->rows);
  lane->logits = malloc(BLOCK * classes * sizeof *lane->logits);
  lane->gradient = malloc((size_t)s->params * sizeof *lane->gradient);
  lane->correct = malloc(classes * sizeof *lane->correct);
  lane->count = malloc(classes * sizeof *lane->count);
  if (lane->rows && lane->logits && lane->gradient && lane->correct && lane->count) return OK;
  return fail(E_MEMORY, "out of memory for a classifier of %d classes on %lld features", s->classes,
              (long long)s->dim);
}

/* An OpenBLAS built on OpenMP goes by its number of threads, of which the front leaves one. */
static void enter(void) {
  if (openblas_get_parallel() != OPENBLAS_OPENMP) openblas_set_num_threads(1);
}

static enum status open(struct softmax_regression *s) {
  struct lane *lanes = s->work = calloc(LANES, sizeof *lanes);
  enum status st = OK;
  if (!lanes) return fail(E_MEMORY, "out of memory for the classifier");
  for (int i = 0; i < LANES; i++) TRY(lane_open(&lanes[i], s));
out:
  return st;
}

static void close(struct softmax_regression *s) {
  struct lane *lanes = s->work;
  for (int i = 0; lanes && i < LANES; i++) {
    free(lanes[i].rows);
    free(lanes[i].logits);
    free(lanes[i].gradient);
    free(lanes[i].correct);
    free(lanes[i].count);
  }
  free(lanes);
}

/* Rows [first, first + n) to float64, with a 1 after each row's features. */
static void widen(const struct samples *data, int64_t first, int64_t n, double *rows) {
  int64_t D = data->dim;
  for (int64_t i = 0; i < n; i++) {
    const float *x = data->x + (first + i) * D;
    double *row = rows + i * (D + 1);
    for (int64_t j = 0; j < D; j++) row[j] = (double)x[j];
    row[D] = 1;
  }
}

/* Loads rows [first, first + n) into the lane and computes their logits. */
static void block_logits(const struct softmax_regression *s, struct lane *lane, const struct samples *data,
                         int64_t first, int64_t n, const double *theta) {
  int64_t D = s->dim, C = s->classes;
  widen(data, first, n, lane->rows);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)C, (int)D + 1, 1.0, lane->rows,
              (int)D + 1, theta, (int)D + 1, 0.0, lane->logits, (int)C);
}

/* One row's cross-entropy; z becomes its derivative, softmax(z) - onehot(y). */
static double row_loss(double *z, int32_t classes, int32_t y) {
  double largest = z[0], answer = z[y];
  for (int32_t c = 1; c < classes; c++) largest = fmax(largest, z[c]);
  double sum = z[0] = exp(z[0] - largest);
  for (int32_t c = 1; c < classes; c++) sum += z[c] = exp(z[c] - largest);
  double scale = 1 / sum;
  for (int32_t c = 0; c < classes; c++) z[c] *= scale;
  z[y] -= 1;
  return log(sum) + largest - answer;
}

static void lane_objective(const struct softmax_regression *s, struct lane *lane, const struct samples *data,
                           int64_t first, int64_t end, const double *theta) {
  int64_t C = s->classes, D = s->dim;
  memset(lane->gradient, 0, (size_t)s->params * sizeof *lane->gradient);
  lane->loss = 0;
  for (int64_t at = first; at < end; at += BLOCK) {
    int64_t n = end - at < BLOCK ? end - at : BLOCK;
    block_logits(s, lane, data, at, n, theta);
    for (int64_t i = 0; i < n; i++) lane->loss += row_loss(lane->logits + i * C, s->classes, data->y[at + i]);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)C, (int)D + 1, (int)n, 1.0, lane->logits,
                (int)C, lane->rows, (int)D + 1, 1.0, lane->gradient, (int)D + 1);
  }
}

/* A thread that has little to do costs more, in waiting at the end, than it saves. */
static int useful_threads(const struct softmax_regression *s, const struct samples *data) {
  double work = (double)data->n * (double)s->params / MIN_PRODUCTS;
  return work < 1 ? 1 : work < s->threads ? (int)work : s->threads;
}

static enum status objective(struct softmax_regression *s, const struct samples *data, const double *theta,
                             double *loss, double *gradient) {
  struct lane *lanes = s->work;
#pragma omp parallel for num_threads(useful_threads(s, data)) schedule(dynamic)
  for (int i = 0; i < LANES; i++)
    lane_objective(s, &lanes[i], data, data->n * i / LANES, data->n * (i + 1) / LANES, theta);
  *loss = 0;
  for (int i = 0; i < LANES; i++) {
    *loss += lanes[i].loss;
    for (int64_t p = 0; p < s->params; p++) gradient[p] += lanes[i].gradient[p];
  }
  return OK;
}

static void lane_count(const struct softmax_regression *s, struct lane *lane, const struct samples *data,
                       int64_t first, int64_t end, const double *theta) {
  memset(lane->correct, 0, (size_t)s->classes * sizeof *lane->correct);
  memset(lane->count, 0, (size_t)s->classes * sizeof *lane->count);
  for (int64_t at = first; at < end; at += BLOCK) {
    int64_t n = end - at < BLOCK ? end - at : BLOCK;
    block_logits(s, lane, data, at, n, theta);
    for (int64_t i = 0; i < n; i++) {
      const double *z = lane->logits + i * s->classes;
      int32_t best = 0, y = data->y[at + i];
      for (int32_t c = 1; c < s->classes; c++)
        if (z[c] > z[best]) best = c;
      lane->count[y]++;
      lane->correct[y] += best == y;
    }
  }
}

static enum status count(struct softmax_regression *s, const struct samples *data, const double *theta,
                         int64_t *correct, int64_t *count_of) {
  struct lane *lanes = s->work;
#pragma omp parallel for num_threads(useful_threads(s, data)) schedule(dynamic)
  for (int i = 0; i < LANES; i++)
    lane_count(s, &lanes[i], data, data->n * i / LANES, data->n * (i + 1) / LANES, theta);
  for (int32_t c = 0; c < s->classes; c++) {
    correct[c] = count_of[c] = 0;
    for (int i = 0; i < LANES; i++) {
      correct[c] += lanes[i].correct[c];
      count_of[c] += lanes[i].count[c];
    }
  }
  return OK;
}

/* gram += rows' rows on the lower triangle; rows [n, size]. */
static void add_products(const struct softmax_regression *s, const double *rows, int64_t n, double *out) {
  int64_t S = s->dim + 1, tiles = (S + TILE - 1) / TILE;
#pragma omp parallel for num_threads(s->threads) schedule(dynamic)
  for (int64_t t = 0; t < tiles * tiles; t++) {
    int64_t i = t / tiles * TILE, j = t % tiles * TILE;
    int64_t m = S - i < TILE ? S - i : TILE, k = S - j < TILE ? S - j : TILE;
    if (j > i) continue;
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)k, (int)n, 1.0, rows + i, (int)S,
                rows + j, (int)S, 1.0, out + i * S + j, (int)S);
  }
}

static enum status gram(struct softmax_regression *s, const struct samples *data, double *out) {
  int64_t S = s->dim + 1;
  double *rows = malloc((size_t)(GRAM_BLOCK * S) * sizeof *rows);
  if (!rows)
    return fail(E_MEMORY, "out of memory for the second moments of %lld features", (long long)s->dim);
  memset(out, 0, (size_t)(S * S) * sizeof *out);
  for (int64_t at = 0; at < data->n; at += GRAM_BLOCK) {
    int64_t n = data->n - at < GRAM_BLOCK ? data->n - at : GRAM_BLOCK;
    widen(data, at, n, rows);
    add_products(s, rows, n, out);
  }
  free(rows);
  return OK;
}

static const struct softmax_regression_variant variant = {
    .enter = enter, .open = open, .close = close, .objective = objective, .count = count, .gram = gram};

const struct kernel kernel_softmax_regression_cpu = {
    .op = "softmax_regression", .backend = "cpu", .algorithm = &variant};
