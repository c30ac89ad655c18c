#include "precondition.h"

#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Each tile of A'A is one matrix product by one thread, whatever their number. */
enum { ROWS = 256, TILE = 128 };

struct preconditioner {
  int64_t size; /* dim + 1 */
  int32_t classes;
  double *gram, *factor; /* [size, size], lower triangles */
};

/* LAPACK's Cholesky factorisation, which OpenBLAS contains; its headers declare C wrappers only. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

/* gram += rows' rows on the lower triangle; rows [n, size]. */
static void add_products(struct preconditioner *p, const double *rows, int64_t n, int threads) {
  int64_t S = p->size, tiles = (S + TILE - 1) / TILE;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t t = 0; t < tiles * tiles; t++) {
    int64_t i = t / tiles * TILE, j = t % tiles * TILE;
    int64_t m = S - i < TILE ? S - i : TILE, k = S - j < TILE ? S - j : TILE;
    if (j > i) continue;
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)k, (int)n, 1.0, rows + i, (int)S,
                rows + j, (int)S, 1.0, p->gram + i * S + j, (int)S);
  }
}

enum status preconditioner_open(struct preconditioner **out, const struct samples *data, int threads) {
  *out = NULL;
  int64_t S = data->dim + 1;
  struct preconditioner *p = calloc(1, sizeof *p);
  double *rows = malloc((size_t)(ROWS * S) * sizeof *rows);
  enum status st = OK;
  if (p) {
    p->size = S;
    p->classes = data->classes;
    p->gram = calloc((size_t)(S * S), sizeof *p->gram);
    p->factor = malloc((size_t)(S * S) * sizeof *p->factor);
  }
  if (!p || !rows || !p->gram || !p->factor) {
    st = fail(E_MEMORY, "out of memory for the second moments of %lld features", (long long)data->dim);
    goto out;
  }
  for (int64_t at = 0; at < data->n; at += ROWS) {
    int64_t n = data->n - at < ROWS ? data->n - at : ROWS;
    samples_widen(data, at, n, rows);
    add_products(p, rows, n, threads ? threads : omp_get_max_threads());
  }
  *out = p;
  p = NULL;
out:
  free(rows);
  preconditioner_close(&p);
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
  for (int64_t i = 0; i < S * S; i++) p->factor[i] = p->gram[i] / p->classes;
  /* The second term keeps P positive where features are exactly dependent and l2 is lost in rounding. */
  for (int64_t i = 0; i < S; i++) p->factor[i * S + i] += 2 * l2 + 1e-13 * trace;
  dpotrf_("U", &n, p->factor, &n, &info); /* column-major upper is row-major lower */
  return info == 0 ? OK
                   : fail(E_NUMERIC,
                          "the features are not finite numbers: the network that made them has diverged");
}

void precondition_params(const struct preconditioner *p, double *theta) {
  cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, p->classes, (int)p->size,
              1.0, p->factor, (int)p->size, theta, (int)p->size);
}

void precondition_back(const struct preconditioner *p, double *v) {
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, p->classes, (int)p->size,
              1.0, p->factor, (int)p->size, v, (int)p->size);
}

void precondition_gradient(const struct preconditioner *p, double *gradient) {
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, p->classes, (int)p->size, 1.0,
              p->factor, (int)p->size, gradient, (int)p->size);
}
