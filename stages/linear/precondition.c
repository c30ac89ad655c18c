#include "precondition.h"

#include <cblas.h>
#include <stdlib.h>

/* Rows that one thread multiplies, whatever the number of threads. Fewer would read the factor too often. */
enum { ROWS = 32 };

struct preconditioner {
  int64_t size, classes; /* dim + 1; rows of theta */
  int threads;
  double *gram, *factor; /* [size, size], lower triangles */
};

/* LAPACK's Cholesky factorisation, which OpenBLAS contains; its headers declare C wrappers only. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

enum status preconditioner_open(struct preconditioner **out, struct softmax_regression *regression,
                                struct sample_range rows) {
  struct preconditioner *p = *out = calloc(1, sizeof *p);
  enum status st = OK;
  if (!p) return fail(E_MEMORY, "out of memory for a preconditioner");
  p->classes = softmax_regression_classes(regression);
  p->size = softmax_regression_params(regression) / p->classes;
  p->threads = softmax_regression_threads(regression);
  p->gram = calloc((size_t)(p->size * p->size), sizeof *p->gram);
  p->factor = malloc((size_t)(p->size * p->size) * sizeof *p->factor);
  if (!p->gram || !p->factor)
    TRY(fail(E_MEMORY, "out of memory for the second moments of %lld features", (long long)p->size - 1));
  TRY(softmax_regression_gram(regression, rows, p->gram));
out:
  if (st != OK) preconditioner_close(out);
  return st;
}

void preconditioner_close(struct preconditioner **preconditioner) {
  struct preconditioner *p = *preconditioner;
  *preconditioner = NULL;
  if (!p) return;
  free(p->gram);
  free(p->factor);
  free(p);
}

enum status preconditioner_set(struct preconditioner *p, double l2) {
  int64_t S = p->size;
  int n = (int)S, info = 0;
  double trace = 0;
  for (int64_t i = 0; i < S; i++) trace += p->gram[i * S + i];
  for (int64_t i = 0; i < S * S; i++) p->factor[i] = p->gram[i] / (double)p->classes;
  /* The second term keeps P positive where features are exactly dependent and l2 is lost in rounding. */
  for (int64_t i = 0; i < S; i++) p->factor[i * S + i] += 2 * l2 + 1e-13 * trace;
  dpotrf_("U", &n, p->factor, &n, &info); /* column-major upper is row-major lower */
  return info == 0 ? OK
                   : fail(E_NUMERIC,
                          "the features are not finite numbers: the network that made them has diverged");
}

/* x = x L, x L^-1 or x L^-T, in place. */
enum product { TIMES_L, OVER_L, OVER_L_TRANSPOSED };
static void multiply(const struct preconditioner *p, enum product product, double *x) {
  const int S = (int)p->size;
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
  for (int64_t row = 0; row < p->classes; row += ROWS) {
    const int n = (int)(p->classes - row < ROWS ? p->classes - row : ROWS);
    double *at = x + row * p->size;
    if (product == TIMES_L)
      cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, n, S, 1.0, p->factor, S,
                  at, S);
    else
      cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, product == OVER_L ? CblasNoTrans : CblasTrans,
                  CblasNonUnit, n, S, 1.0, p->factor, S, at, S);
  }
}

void precondition_params(const struct preconditioner *p, double *theta) { multiply(p, TIMES_L, theta); }
void precondition_back(const struct preconditioner *p, double *v) { multiply(p, OVER_L, v); }
void precondition_gradient(const struct preconditioner *p, double *gradient) {
  multiply(p, OVER_L_TRANSPOSED, gradient);
}
