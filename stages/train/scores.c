#include "scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

enum { NEIGHBOURS = 20 };
static const double temperature = 0.07, ridge = 0.1;

/* What both scores are made of. */
struct work {
  const struct labelled_rows *bank, *held;
  int64_t dim;
  int32_t classes;
  double *cosines; /* [bank], of one held-out image */
  double *factor;  /* [bank, bank]: K + lambda I, then its Cholesky factor, lower */
  double *dual;    /* [classes, bank]: Y', then A' */
  double *votes;   /* [classes] */
};

static int32_t largest(const double *value, int32_t n) {
  int32_t best = 0;
  for (int32_t c = 1; c < n; c++)
    if (value[c] > value[best]) best = c;
  return best;
}

/* --- Nearest neighbours --------------------------------------------------------------------------------- */

/* The places of the k largest, in falling order. */
static int nearest(int64_t *place, const double *cosines, int64_t n) {
  int k = 0;
  for (int64_t i = 0; i < n; i++) {
    int at = k;
    while (at > 0 && cosines[i] > cosines[place[at - 1]]) at--;
    if (at == NEIGHBOURS) continue;
    if (k < NEIGHBOURS) k++;
    memmove(place + at + 1, place + at, (size_t)(k - 1 - at) * sizeof *place);
    place[at] = i;
  }
  return k;
}

static int32_t vote(const struct work *w) {
  int64_t place[NEIGHBOURS];
  int k = nearest(place, w->cosines, w->bank->n);
  memset(w->votes, 0, (size_t)w->classes * sizeof *w->votes);
  for (int i = 0; i < k; i++) w->votes[w->bank->y[place[i]]] += exp((w->cosines[place[i]] - 1) / temperature);
  return largest(w->votes, w->classes);
}

/* --- Linear probe --------------------------------------------------------------------------------------- */

static double product(const double *a, const double *b, int64_t n) {
  double even = 0, odd = 0;
  for (int64_t i = 0; i + 1 < n; i += 2) even += a[i] * b[i], odd += a[i + 1] * b[i + 1];
  return even + odd + (n % 2 ? a[n - 1] * b[n - 1] : 0);
}

/* L with L L' = K + lambda I, which is positive definite. */
static void factorise(const struct work *w) {
  const struct labelled_rows *b = w->bank;
  for (int64_t i = 0; i < b->n; i++) {
    double *row = w->factor + i * b->n;
    for (int64_t j = 0; j <= i; j++) {
      double k = rows_product(b->x + i * w->dim, b->x + j * w->dim, w->dim) + 1 + (i == j ? ridge : 0);
      const double *other = w->factor + j * b->n;
      double rest = k - product(row, other, j);
      row[j] = i == j ? sqrt(rest) : rest / other[j];
    }
  }
}

/* Each row a of the dual: L L' a = y. */
static void solve(const struct work *w, double *a) {
  int64_t n = w->bank->n;
  const double *l = w->factor;
  for (int64_t i = 0; i < n; i++) a[i] = (a[i] - product(l + i * n, a, i)) / l[i * n + i];
  for (int64_t i = n - 1; i >= 0; i--) {
    a[i] /= l[i * n + i];
    for (int64_t j = 0; j < i; j++) a[j] -= l[i * n + j] * a[i];
  }
}

static void fit(const struct work *w) {
  int64_t n = w->bank->n;
  factorise(w);
  for (int64_t i = 0; i < n; i++) w->dual[w->bank->y[i] * n + i] = 1;
  for (int32_t c = 0; c < w->classes; c++) solve(w, w->dual + c * n);
}

static int32_t predict(const struct work *w) {
  int64_t n = w->bank->n;
  for (int64_t i = 0; i < n; i++) w->cosines[i] += 1; /* the constant */
  for (int32_t c = 0; c < w->classes; c++) w->votes[c] = product(w->dual + c * n, w->cosines, n);
  return largest(w->votes, w->classes);
}

/* --- Both ----------------------------------------------------------------------------------------------- */

static enum status prepare(const struct labelled_rows *rows, int64_t dim) {
  for (int64_t i = 0; i < rows->n * dim; i++)
    if (!isfinite(rows->x[i])) return fail(E_NUMERIC, "the features are not finite numbers");
  rows_normalise(rows->x, rows->n, dim);
  return OK;
}

static enum status open_work(struct work *w) {
  size_t n = (size_t)w->bank->n, classes = (size_t)w->classes;
  w->cosines = malloc(n * sizeof *w->cosines);
  w->factor = malloc(n * n * sizeof *w->factor);
  w->dual = calloc(classes * n, sizeof *w->dual);
  w->votes = malloc(classes * sizeof *w->votes);
  return w->cosines && w->factor && w->dual && w->votes
             ? OK
             : fail(E_MEMORY, "out of memory for a probe on %zu images", n);
}

static void score(struct scores *out, const struct work *w) {
  int64_t voted = 0, predicted = 0;
  fit(w);
  for (int64_t h = 0; h < w->held->n; h++) {
    for (int64_t i = 0; i < w->bank->n; i++)
      w->cosines[i] = rows_product(w->held->x + h * w->dim, w->bank->x + i * w->dim, w->dim);
    voted += vote(w) == w->held->y[h];
    predicted += predict(w) == w->held->y[h];
  }
  *out = (struct scores){(double)voted / (double)w->held->n, (double)predicted / (double)w->held->n};
}

enum status scores_measure(struct scores *out, const struct labelled_rows *bank,
                           const struct labelled_rows *held, int64_t dim, int32_t classes) {
  struct work w = {.bank = bank, .held = held, .dim = dim, .classes = classes};
  enum status st = OK;
  TRY(prepare(bank, dim));
  TRY(prepare(held, dim));
  TRY(open_work(&w));
  score(out, &w);
out:
  free(w.cosines);
  free(w.factor);
  free(w.dual);
  free(w.votes);
  return st;
}
