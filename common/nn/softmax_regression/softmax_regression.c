#include "nn/softmax_regression/softmax_regression.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>

#include "nn/softmax_regression/softmax_regression_variant.h"

struct sample_set {
  struct softmax_regression *regression;
  struct samples rows;
};

static enum status check(const struct softmax_regression_config *c) {
  if (c->dim >= 1 && c->classes >= 1 && c->threads >= 0 && c->most_rows >= 1 &&
      (c->dim + 1) * c->classes <= INT32_MAX && c->most_rows <= INT32_MAX)
    return OK;
  return fail(E_ARG, "cannot classify %lld rows of %lld features into %d classes on %d threads",
              (long long)c->most_rows, (long long)c->dim, c->classes, c->threads);
}

static enum status find_variant(struct softmax_regression *s, const struct softmax_regression_config *c) {
  const struct graph_config config = {.device = c->device, .threads = c->threads};
  enum status st = backend_open(&s->backend, &s->device, &config);
  if (st != OK) return st;
  const struct kernel *kernel = kernel_find("softmax_regression", s->backend->name);
  if (!kernel) return fail(E_DEVICE, "no %s kernel for softmax_regression", s->backend->name);
  s->variant = kernel->algorithm;
  return OK;
}

/* Before anything is asked of the device; rows are this library's to spread over threads, not OpenMP's within a product. */
static void enter(const struct softmax_regression *s) {
  s->backend->enter(s->device);
  omp_set_num_threads(1);
  if (s->variant->enter) s->variant->enter();
}

/* Before memory goes that the device may still use. */
static void drain(const struct softmax_regression *s) {
  if (s->backend->drain) s->backend->drain(s->device);
}

enum status softmax_regression_open(struct softmax_regression **out,
                                    const struct softmax_regression_config *config) {
  *out = NULL;
  enum status st = check(config);
  if (st != OK) return st;
  struct softmax_regression *s = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory for the classifier");
  s->threads_before = omp_get_max_threads();
  s->threads = config->threads ? config->threads : s->threads_before;
  s->dim = config->dim;
  s->classes = config->classes;
  s->params = (s->dim + 1) * s->classes;
  s->most_rows = config->most_rows;
  TRY(find_variant(s, config));
  enter(s);
  if (s->variant->open) TRY(s->variant->open(s));
out:
  if (st != OK) softmax_regression_close(&s);
  *out = s;
  return st;
}

void softmax_regression_close(struct softmax_regression **regression) {
  struct softmax_regression *s = *regression;
  *regression = NULL;
  if (!s) return;
  if (s->variant) enter(s), drain(s);
  if (s->variant && s->variant->close) s->variant->close(s);
  if (s->backend) s->backend->close(s->device);
  omp_set_num_threads(s->threads_before);
  free(s);
}

int64_t softmax_regression_params(const struct softmax_regression *s) { return s->params; }
int32_t softmax_regression_classes(const struct softmax_regression *s) { return s->classes; }
int softmax_regression_threads(const struct softmax_regression *s) { return s->threads; }

enum status softmax_regression_load(struct sample_set **out, struct softmax_regression *s,
                                    const struct samples *samples) {
  *out = NULL;
  if (samples->dim != s->dim || samples->classes != s->classes || samples->n < 1 || samples->n > s->most_rows)
    return fail(E_ARG, "%lld rows of %lld features in %d classes; opened for at most %lld of %lld in %d",
                (long long)samples->n, (long long)samples->dim, samples->classes, (long long)s->most_rows,
                (long long)s->dim, s->classes);
  struct sample_set *set = calloc(1, sizeof *set);
  if (!set) return fail(E_MEMORY, "out of memory for the samples");
  set->regression = s;
  set->rows = *samples;
  enum status st = OK;
  if (s->variant->load) {
    set->rows.x = NULL;
    set->rows.y = NULL;
    enter(s);
    TRY(s->variant->load(s, samples, &set->rows));
  }
out:
  if (st != OK) softmax_regression_unload(&set);
  *out = set;
  return st;
}

void softmax_regression_unload(struct sample_set **sets) {
  struct sample_set *set = *sets;
  *sets = NULL;
  if (!set) return;
  enter(set->regression);
  drain(set->regression);
  if (set->regression->variant->unload) set->regression->variant->unload(set->regression, &set->rows);
  free(set);
}

static struct samples rows_of(const struct softmax_regression *s, struct sample_range range) {
  struct samples rows = range.set->rows;
  assert(range.set->regression == s && range.first >= 0 && range.n >= 1 && range.first + range.n <= rows.n);
  rows.x += range.first * s->dim;
  rows.y += range.first;
  rows.n = range.n;
  return rows;
}

enum status softmax_regression_objective(struct softmax_regression *s, struct sample_range range, double l2,
                                         const double *theta, double *value, double *gradient) {
  const struct samples rows = rows_of(s, range);
  double squares = 0;
  *value = 0;
  for (int64_t p = 0; p < s->params; p++) {
    gradient[p] = 2 * l2 * theta[p];
    squares += theta[p] * theta[p];
  }
  enter(s);
  enum status st = s->variant->objective(s, &rows, theta, value, gradient);
  *value += l2 * squares;
  return st;
}

enum status softmax_regression_count(struct softmax_regression *s, struct sample_range range,
                                     const double *theta, int64_t *correct, int64_t *count) {
  const struct samples rows = rows_of(s, range);
  enter(s);
  return s->variant->count(s, &rows, theta, correct, count);
}

enum status softmax_regression_gram(struct softmax_regression *s, struct sample_range range, double *gram) {
  const struct samples rows = rows_of(s, range);
  enter(s);
  return s->variant->gram(s, &rows, gram);
}
