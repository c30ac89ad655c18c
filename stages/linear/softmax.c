#include "softmax.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* LANES bounds the useful threads and fixes the order of summation. A block of rows is converted to float64
 * and used twice, for logits and for the gradient, while it is in the cache. */
enum { LANES = 16, BLOCK = 128, MIN_PRODUCTS = 2000000 /* rows x parameters for each thread */ };

struct lane {
  double *rows;     /* [BLOCK, dim + 1]: the features, then 1, which meets the bias */
  double *logits;   /* [BLOCK, classes]: logits, then their derivative */
  double *gradient; /* [params] */
  double loss;
  int64_t *correct, *count; /* [classes] */
};

struct softmax {
  int64_t dim, params;
  int32_t classes;
  int threads, blas_threads;
  struct lane lanes[LANES];
};

static enum status lane_open(struct lane *lane, int64_t dim, int64_t classes) {
  lane->rows = malloc((size_t)(BLOCK * (dim + 1)) * sizeof *lane->rows);
  lane->logits = malloc((size_t)(BLOCK * classes) * sizeof *lane->logits);
  lane->gradient = malloc((size_t)(classes * (dim + 1)) * sizeof *lane->gradient);
  lane->correct = malloc((size_t)classes * sizeof *lane->correct);
  lane->count = malloc((size_t)classes * sizeof *lane->count);
  if (lane->rows && lane->logits && lane->gradient && lane->correct && lane->count) return OK;
  return fail(E_MEMORY, "out of memory for a classifier of %lld classes on %lld features", (long long)classes,
              (long long)dim);
}

enum status softmax_open(struct softmax **out, int64_t dim, int32_t classes, int threads) {
  *out = NULL;
  if (dim < 1 || classes < 1 || threads < 0 || (dim + 1) * classes > INT32_MAX)
    return fail(E_ARG, "cannot classify %lld features into %d classes on %d threads", (long long)dim, classes,
                threads);
  struct softmax *s = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory for the classifier");
  enum status st = OK;
  s->dim = dim;
  s->classes = classes;
  s->params = (dim + 1) * classes;
  s->threads = threads ? threads : omp_get_max_threads();
  s->blas_threads = openblas_get_num_threads();
  openblas_set_num_threads(1);
  for (int i = 0; i < LANES; i++) TRY(lane_open(&s->lanes[i], dim, classes));
  *out = s;
  return OK;
out:
  softmax_close(&s);
  return st;
}

void softmax_close(struct softmax **softmax) {
  struct softmax *s = *softmax;
  *softmax = NULL;
  if (!s) return;
  for (int i = 0; i < LANES; i++) {
    struct lane *lane = &s->lanes[i];
    free(lane->rows);
    free(lane->logits);
    free(lane->gradient);
    free(lane->correct);
    free(lane->count);
  }
  openblas_set_num_threads(s->blas_threads);
  free(s);
}

void samples_widen(const struct samples *data, int64_t first, int64_t n, double *rows) {
  int64_t D = data->dim;
  for (int64_t i = 0; i < n; i++) {
    const float *x = data->x + (first + i) * D;
    double *row = rows + i * (D + 1);
    for (int64_t j = 0; j < D; j++) row[j] = (double)x[j];
    row[D] = 1;
  }
}

int64_t softmax_params(const struct softmax *softmax) { return softmax->params; }

/* Loads rows [first, first + n) into the lane and computes their logits. */
static void block_logits(const struct softmax *s, struct lane *lane, const struct samples *data,
                         int64_t first, int64_t n, const double *theta) {
  int64_t D = s->dim, C = s->classes;
  samples_widen(data, first, n, lane->rows);
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

static void lane_objective(const struct softmax *s, struct lane *lane, const struct samples *data,
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
static int useful_threads(const struct softmax *s, const struct samples *data) {
  double work = (double)data->n * (double)s->params / MIN_PRODUCTS;
  return work < 1 ? 1 : work < s->threads ? (int)work : s->threads;
}

double softmax_objective(struct softmax *s, const struct samples *data, double l2, const double *theta,
                         double *gradient) {
  double loss = 0, squares = 0;
#pragma omp parallel for num_threads(useful_threads(s, data)) schedule(dynamic)
  for (int i = 0; i < LANES; i++)
    lane_objective(s, &s->lanes[i], data, data->n * i / LANES, data->n * (i + 1) / LANES, theta);
  for (int64_t p = 0; p < s->params; p++) {
    gradient[p] = 2 * l2 * theta[p];
    squares += theta[p] * theta[p];
  }
  for (int i = 0; i < LANES; i++) {
    loss += s->lanes[i].loss;
    for (int64_t p = 0; p < s->params; p++) gradient[p] += s->lanes[i].gradient[p];
  }
  return loss + l2 * squares;
}

static void lane_count(const struct softmax *s, struct lane *lane, const struct samples *data, int64_t first,
                       int64_t end, const double *theta) {
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

void softmax_count(struct softmax *s, const struct samples *data, const double *theta, int64_t *correct,
                   int64_t *count) {
#pragma omp parallel for num_threads(useful_threads(s, data)) schedule(dynamic)
  for (int i = 0; i < LANES; i++)
    lane_count(s, &s->lanes[i], data, data->n * i / LANES, data->n * (i + 1) / LANES, theta);
  for (int32_t c = 0; c < s->classes; c++) {
    correct[c] = count[c] = 0;
    for (int i = 0; i < LANES; i++) {
      correct[c] += s->lanes[i].correct[c];
      count[c] += s->lanes[i].count[c];
    }
  }
}

struct score score_of(const int64_t *correct, const int64_t *count, int32_t classes) {
  int64_t hits = 0, rows = 0, present = 0;
  double sum = 0;
  for (int32_t c = 0; c < classes; c++) {
    if (!count[c]) continue;
    hits += correct[c];
    rows += count[c];
    present++;
    sum += (double)correct[c] / (double)count[c];
  }
  if (!present) return (struct score){0};
  return (struct score){.top1 = (double)hits / (double)rows, .class_mean = sum / (double)present};
}
