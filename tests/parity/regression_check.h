/* A softmax regression on one backend beside the same on `ref`. */
#ifndef PARITY_REGRESSION_CHECK_H
#define PARITY_REGRESSION_CHECK_H

#include <math.h>

#include "backends.h"
#include "base/rng.h"
#include "nn/softmax_regression/softmax_regression.h"
#include "test.h"

#define REGRESSION_OK(expr)                                                                                  \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

static inline void *regression_zeros(int64_t bytes) {
  void *memory = calloc(1, (size_t)bytes);
  if (!memory) abort();
  return memory;
}

/* Rows of uneven scale whose class depends on them; classes >= `used` have none. regression_free frees them. */
static inline struct samples regression_samples(int64_t n, int64_t dim, int32_t classes, int32_t used) {
  float *x = regression_zeros(n * dim * (int64_t)sizeof *x);
  int32_t *y = regression_zeros(n * (int64_t)sizeof *y);
  struct rng r = rng_at(5, (uint32_t)n, (uint32_t)dim, (uint32_t)classes);
  for (int64_t i = 0; i < n; i++) {
    y[i] = (int32_t)(i % used);
    for (int64_t j = 0; j < dim; j++)
      x[i * dim + j] =
          (float)(((rng_next_f64(&r) - 0.5) * 3 + (j % used == y[i])) * exp(-0.5 * (double)(j % 8)));
  }
  return (struct samples){.x = x, .y = y, .n = n, .dim = dim, .classes = classes};
}

static inline void regression_free(struct samples *s) {
  free((void *)(uintptr_t)s->x);
  free((void *)(uintptr_t)s->y);
}

/* A regression with its samples, and what it answers at one point. */
struct regression {
  struct softmax_regression *on;
  struct sample_set *set;
  int64_t size, params;
  int32_t classes;
  double *theta, *gradient, *gram, value;
  int64_t *correct, *count;
};

static inline struct regression regression_open(const char *device, const struct samples *samples,
                                                int threads) {
  const struct softmax_regression_config config = {.device = device,
                                                   .threads = threads,
                                                   .dim = samples->dim,
                                                   .classes = samples->classes,
                                                   .most_rows = samples->n};
  struct regression r = {.size = samples->dim + 1, .classes = samples->classes};
  REGRESSION_OK(softmax_regression_open(&r.on, &config));
  REGRESSION_OK(softmax_regression_load(&r.set, r.on, samples));
  r.params = softmax_regression_params(r.on);
  r.theta = regression_zeros(r.params * (int64_t)sizeof *r.theta);
  r.gradient = regression_zeros(r.params * (int64_t)sizeof *r.gradient);
  r.gram = regression_zeros(r.size * r.size * (int64_t)sizeof *r.gram);
  r.correct = regression_zeros(r.classes * (int64_t)sizeof *r.correct);
  r.count = regression_zeros(r.classes * (int64_t)sizeof *r.count);
  return r;
}

static inline void regression_close(struct regression *r) {
  softmax_regression_unload(&r->set);
  softmax_regression_close(&r->on);
  assert_true(!r->set && !r->on);
  free(r->theta);
  free(r->gradient);
  free(r->gram);
  free(r->correct);
  free(r->count);
}

/* At a point where nothing is zero. */
static inline void regression_ask(struct regression *r, int64_t first, int64_t n, double l2) {
  const struct sample_range rows = {r->set, first, n};
  for (int64_t i = 0; i < r->params; i++) r->theta[i] = 0.3 * sin((double)i + 1);
  double value;
  REGRESSION_OK(softmax_regression_objective(r->on, rows, l2, r->theta, &value, r->gradient));
  r->value = value;
  REGRESSION_OK(softmax_regression_count(r->on, rows, r->theta, r->correct, r->count));
  REGRESSION_OK(softmax_regression_gram(r->on, rows, r->gram));
}

/* ||a - b|| / ||b|| */
static inline double regression_distance(const double *a, const double *b, int64_t n) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < n; i++) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return sqrt(difference / norm);
}

static inline void regression_compare(const char *name, const struct regression *a,
                                      const struct regression *ref, double tolerance) {
  const size_t counts = (size_t)ref->classes * sizeof *ref->count;
  double value = fabs(a->value - ref->value) / fabs(ref->value),
         gradient = regression_distance(a->gradient, ref->gradient, ref->params), gram = 0;
  for (int64_t i = 0; i < ref->size; i++)
    gram = fmax(gram, regression_distance(a->gram + i * ref->size, ref->gram + i * ref->size, i + 1));
  if (!(value <= tolerance)) fail_msg("%s: the objective is off by %g", name, value);
  if (!(gradient <= tolerance)) fail_msg("%s: the gradient is off by %g", name, gradient);
  if (!(gram <= tolerance)) fail_msg("%s: A'A is off by %g", name, gram);
  if (memcmp(a->correct, ref->correct, counts) != 0 || memcmp(a->count, ref->count, counts) != 0)
    fail_msg("%s: other answers are right", name);
}

/* All rows, then all but the first, then all again, which gives the first bytes again. */
static inline void regression_check(const char *name, const char *device, const struct samples *samples,
                                    double tolerance) {
  struct regression a = regression_open(device, samples, 2), ref = regression_open("ref", samples, 1);
  const size_t bytes = (size_t)a.params * sizeof *a.gradient;
  double *gradient = regression_zeros((int64_t)bytes), value;
  regression_ask(&a, 0, samples->n, 0.7);
  regression_ask(&ref, 0, samples->n, 0.7);
  regression_compare(name, &a, &ref, tolerance);
  memcpy(gradient, a.gradient, bytes);
  value = a.value;
  if (samples->n > 1) {
    regression_ask(&a, 1, samples->n - 1, 0);
    regression_ask(&ref, 1, samples->n - 1, 0);
    if (samples->classes > 1) regression_compare(name, &a, &ref, tolerance);
  }
  regression_ask(&a, 0, samples->n, 0.7);
  if (memcmp(gradient, a.gradient, bytes) != 0 || value != a.value) fail_msg("%s: other bytes", name);
  free(gradient);
  regression_close(&a);
  regression_close(&ref);
}

/* Without the device a counted skip. */
static inline void regression_need(const char *device) {
  if (device_opens(&(struct graph_config){.device = device})) return;
  print_message("%s\n", fail_message());
  skip();
}

#endif
