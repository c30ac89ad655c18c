/* cuBLASLt thinks in columns: a row-major matrix is its transpose there. So c^T = b^T a^T is what it is asked for,
 * with b first, and the bias, one number per column of ours, is one per row of its. */
#include "nn/cuda/matmul.h"

#include <stdlib.h>

#include "nn/cuda/libraries.h"

enum { WORKSPACE_LIMIT = 32 << 20 }; /* what NVIDIA advises for Hopper */

struct blas {
  struct cublaslt_functions api;
  cublasLtHandle_t handle; /* NULL: the GPU is only described, and no product is chosen */
};

struct matmul {
  struct blas *blas;
  struct matmul_shape shape;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t a, b, c;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace;
};

static enum status check(const struct blas *blas, cublasStatus_t status, const char *what) {
  if (status == CUBLAS_STATUS_SUCCESS) return OK;
  return fail(E_DEVICE, "cuBLASLt: %s: %s", what, blas->api.cublasLtGetStatusString(status));
}

enum status blas_open(struct blas **out) {
  struct blas *blas = calloc(1, sizeof *blas);
  *out = NULL;
  if (!blas) return fail(E_MEMORY, "out of memory for cuBLASLt");
  enum status st = OK;
  TRY(libraries_cublaslt(&blas->api));
  TRY(check(blas, blas->api.cublasLtCreate(&blas->handle), "cublasLtCreate"));
out:
  if (st != OK) blas_close(&blas);
  *out = blas;
  return st;
}

enum status blas_open_described(struct blas **out) {
  *out = calloc(1, sizeof **out);
  return *out ? OK : fail(E_MEMORY, "out of memory for cuBLASLt");
}

void blas_close(struct blas **blas) {
  struct blas *b = *blas;
  *blas = NULL;
  if (!b) return;
  if (b->handle) b->api.cublasLtDestroy(b->handle);
  free(b);
}

/* --- Descriptions --- */

static cudaDataType_t type_of(enum number number) {
  return number == NUMBER_F64 ? CUDA_R_64F : number == NUMBER_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Of sums, and so of the factors 0 and 1 before them. */
static cudaDataType_t sum_type_of(enum number in) { return in == NUMBER_F64 ? CUDA_R_64F : CUDA_R_32F; }

static cublasComputeType_t compute_type_of(enum number in) {
  return in == NUMBER_F64    ? CUBLAS_COMPUTE_64F
         : in == NUMBER_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                             : CUBLAS_COMPUTE_32F;
}

/* A matrix that lies in memory as [rows, columns], row-major. */
static enum status make_layout(const struct blas *blas, enum number number, int64_t rows, int64_t columns,
                               int64_t stride, cublasLtMatrixLayout_t *out) {
  return check(blas,
               blas->api.cublasLtMatrixLayoutCreate(out, type_of(number), (uint64_t)columns, (uint64_t)rows,
                                                    stride ? stride : columns),
               "matrix layout");
}

static enum status set(const struct blas *blas, cublasLtMatmulDesc_t operation,
                       cublasLtMatmulDescAttributes_t name, const void *value, size_t size) {
  return check(blas, blas->api.cublasLtMatmulDescSetAttribute(operation, name, value, size), "operation");
}

static enum status make_operation(struct matmul *m) {
  const struct matmul_shape *s = &m->shape;
  const struct blas *blas = m->blas;
  const cublasOperation_t first = s->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                          second = s->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasLtEpilogue_t epilogue = s->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  enum status st = OK;
  TRY(check(blas,
            blas->api.cublasLtMatmulDescCreate(&m->operation, compute_type_of(s->in), sum_type_of(s->in)),
            "operation"));
  TRY(set(blas, m->operation, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first));
  TRY(set(blas, m->operation, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second));
  TRY(set(blas, m->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
  TRY(make_layout(blas, s->in, s->a_transposed ? s->inner : s->rows, s->a_transposed ? s->rows : s->inner,
                  s->a_stride, &m->a));
  TRY(make_layout(blas, s->in, s->b_transposed ? s->columns : s->inner,
                  s->b_transposed ? s->inner : s->columns, s->b_stride, &m->b));
  TRY(make_layout(blas, s->out, s->rows, s->columns, s->c_stride, &m->c));
out:
  return st;
}

/* --- The choice of an algorithm --- */

static enum status prefer(const struct blas *blas, cublasLtMatmulPreference_t preference,
                          cublasLtMatmulPreferenceAttributes_t name, const void *value, size_t size) {
  return check(blas, blas->api.cublasLtMatmulPreferenceSetAttribute(preference, name, value, size),
               "preference");
}

static enum status make_preference(const struct matmul *m, cublasLtMatmulPreference_t preference) {
  static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  const uint64_t limit = WORKSPACE_LIMIT;
  const uint32_t
      alignment = m->shape.alignment ? (uint32_t)m->shape.alignment : 16,
      reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE; /* partial sums of split products are not rounded */
  enum status st = OK;
  TRY(prefer(m->blas, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit, sizeof limit));
  TRY(prefer(m->blas, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction));
  for (int i = 0; i < 4; i++) TRY(prefer(m->blas, preference, alignments[i], &alignment, sizeof alignment));
out:
  return st;
}

/* The heuristic takes the bias' alignment from its address, which a run gives: an address that is aligned as promised stands
 * for it until then. Nobody reads there. */
static enum status promise_bias(const struct matmul *m) {
  const uintptr_t address = m->shape.alignment ? m->shape.alignment : 16;
  if (!m->shape.bias) return OK;
  return set(m->blas, m->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &address, sizeof address);
}

static enum status no_algorithm(const struct matmul *m, cublasStatus_t status) {
  const struct matmul_shape *s = &m->shape;
  return fail(E_DEVICE, "cuBLASLt has no product [%lld,%lld]%s [%lld,%lld]%s of %s into %s: %s",
              (long long)s->rows, (long long)s->inner, s->a_transposed ? " (kept by columns)" : "",
              (long long)s->inner, (long long)s->columns, s->b_transposed ? " (kept by columns)" : "",
              number_name(s->in), number_name(s->out), m->blas->api.cublasLtGetStatusString(status));
}

static enum status choose(struct matmul *m) {
  const struct blas *blas = m->blas;
  cublasLtMatmulPreference_t preference = NULL;
  cublasLtMatmulHeuristicResult_t best;
  int found = 0;
  enum status st = OK;
  TRY(check(blas, blas->api.cublasLtMatmulPreferenceCreate(&preference), "preference"));
  TRY(make_preference(m, preference));
  TRY(promise_bias(m));
  cublasStatus_t status = blas->api.cublasLtMatmulAlgoGetHeuristic(blas->handle, m->operation, m->b, m->a,
                                                                   m->c, m->c, preference, 1, &best, &found);
  if (status == CUBLAS_STATUS_SUCCESS && found) status = best.state;
  if (status != CUBLAS_STATUS_SUCCESS || !found) TRY(no_algorithm(m, status));
  m->algorithm = best.algo;
  m->workspace = best.workspaceSize;
out:
  if (preference) blas->api.cublasLtMatmulPreferenceDestroy(preference);
  return st;
}

/* --- Products --- */

static enum status check_shape(const struct matmul_shape *s) {
  if (s->rows < 1 || s->columns < 1 || s->inner < 1) {
    return fail(E_SHAPE, "a matrix product of [%lld,%lld] and [%lld,%lld]; sizes must be at least 1",
                (long long)s->rows, (long long)s->inner, (long long)s->inner, (long long)s->columns);
  }
  if (s->in == NUMBER_F64 && s->bias) return fail(E_SHAPE, "a matrix product of f64 adds no bias");
  const enum number wide = s->in == NUMBER_F64 ? NUMBER_F64 : NUMBER_F32;
  if (s->out == wide || (s->in == NUMBER_BF16 && s->out == NUMBER_BF16)) return OK;
  return fail(E_SHAPE, "a matrix product of %s does not give %s", number_name(s->in), number_name(s->out));
}

enum status matmul_open(struct matmul **out, struct blas *blas, const struct matmul_shape *shape) {
  *out = NULL;
  enum status st = check_shape(shape);
  if (st != OK) return st;
  struct matmul *m = calloc(1, sizeof *m);
  if (!m) return fail(E_MEMORY, "out of memory for a matrix product");
  m->blas = blas;
  m->shape = *shape;
  m->workspace = WORKSPACE_LIMIT;
  if (!blas->handle) goto out;
  TRY(make_operation(m));
  TRY(choose(m));
out:
  if (st != OK) matmul_close(&m);
  *out = m;
  return st;
}

void matmul_close(struct matmul **matmul) {
  struct matmul *m = *matmul;
  *matmul = NULL;
  if (!m) return;
  const struct cublaslt_functions *api = &m->blas->api;
  if (m->c) api->cublasLtMatrixLayoutDestroy(m->c);
  if (m->b) api->cublasLtMatrixLayoutDestroy(m->b);
  if (m->a) api->cublasLtMatrixLayoutDestroy(m->a);
  if (m->operation) api->cublasLtMatmulDescDestroy(m->operation);
  free(m);
}

size_t matmul_workspace(const struct matmul *matmul) { return matmul->workspace; }

/* 0 or 1 as the sums are. */
static const void *factor(enum number in, bool one) {
  static const float f32[] = {0, 1};
  static const double f64[] = {0, 1};
  return in == NUMBER_F64 ? (const void *)&f64[one] : (const void *)&f32[one];
}

enum status matmul_run(struct matmul *matmul, void *stream, const struct matmul_call *call) {
  const struct blas *blas = matmul->blas;
  const enum number in = matmul->shape.in;
  if (!blas->handle) return fail(E_DEVICE, "a product planned for a described GPU cannot be run");
  if (matmul->shape.bias) {
    enum status st =
        set(blas, matmul->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &call->bias, sizeof call->bias);
    if (st != OK) return st;
  }
  return check(blas,
               blas->api.cublasLtMatmul(blas->handle, matmul->operation, factor(in, true), call->b, matmul->b,
                                        call->a, matmul->a, factor(in, call->accumulate), call->c, matmul->c,
                                        call->c, matmul->c, &matmul->algorithm, call->workspace,
                                        matmul->workspace, stream),
               "product");
}
