#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/softmax_regression/softmax_regression_variant.h"

/* work: a row's logits [classes], then the row itself with a 1 behind it [dim + 1]. */
static enum status open(struct softmax_regression *s) {
  s->work = malloc((size_t)(s->classes + s->dim + 1) * sizeof(double));
  return s->work ? OK : fail(E_MEMORY, "out of memory for %d classes", s->classes);
}

static void close(struct softmax_regression *s) { free(s->work); }

static const double *row_of(const struct softmax_regression *s, const struct samples *rows, int64_t i) {
  double *row = (double *)s->work + s->classes;
  for (int64_t j = 0; j < s->dim; j++) row[j] = (double)rows->x[i * s->dim + j];
  row[s->dim] = 1;
  return row;
}

static const double *logits_of(const struct softmax_regression *s, const double *row, const double *theta) {
  double *z = s->work;
  for (int32_t c = 0; c < s->classes; c++) {
    z[c] = 0;
    for (int64_t j = 0; j <= s->dim; j++) z[c] += theta[c * (s->dim + 1) + j] * row[j];
  }
  return z;
}

static enum status objective(struct softmax_regression *s, const struct samples *rows, const double *theta,
                             double *loss, double *gradient) {
  *loss = 0;
  for (int64_t i = 0; i < rows->n; i++) {
    const double *row = row_of(s, rows, i), *z = logits_of(s, row, theta);
    double largest = z[0];
    for (int32_t c = 1; c < s->classes; c++) largest = fmax(largest, z[c]);
    double sum = exp(z[0] - largest);
    for (int32_t c = 1; c < s->classes; c++) sum += exp(z[c] - largest);
    *loss += log(sum) + largest - z[rows->y[i]];
    for (int32_t c = 0; c < s->classes; c++) {
      const double slope = exp(z[c] - largest) / sum - (c == rows->y[i]);
      for (int64_t j = 0; j <= s->dim; j++) gradient[c * (s->dim + 1) + j] += slope * row[j];
    }
  }
  return OK;
}

static enum status count(struct softmax_regression *s, const struct samples *rows, const double *theta,
                         int64_t *correct, int64_t *count_of) {
  memset(correct, 0, (size_t)s->classes * sizeof *correct);
  memset(count_of, 0, (size_t)s->classes * sizeof *count_of);
  for (int64_t i = 0; i < rows->n; i++) {
    const double *z = logits_of(s, row_of(s, rows, i), theta);
    int32_t best = 0;
    for (int32_t c = 1; c < s->classes; c++)
      if (z[c] > z[best]) best = c;
    count_of[rows->y[i]]++;
    correct[rows->y[i]] += best == rows->y[i];
  }
  return OK;
}

static enum status gram(struct softmax_regression *s, const struct samples *rows, double *out) {
  const int64_t size = s->dim + 1;
  memset(out, 0, (size_t)(size * size) * sizeof *out);
  for (int64_t i = 0; i < rows->n; i++) {
    const double *row = row_of(s, rows, i);
    for (int64_t j = 0; j < size; j++)
      for (int64_t k = 0; k <= j; k++) out[j * size + k] += row[j] * row[k];
  }
  return OK;
}

static const struct softmax_regression_variant variant = {
    .open = open, .close = close, .objective = objective, .count = count, .gram = gram};

const struct kernel kernel_softmax_regression_ref = {
    .op = "softmax_regression", .backend = "ref", .algorithm = &variant};
