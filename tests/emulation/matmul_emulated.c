/* What common/nn/cuda/matmul.c has cuBLASLt do, in plain loops with float64 sums. The workspace is spoilt, as in dnn.c. */
#include "nn/cuda/matmul.h"

#include <stdlib.h>
#include <string.h>

#include "emulation.h"
#include "numbers.h"

enum { WORKSPACE = 512 };

struct blas {
  size_t unused;
};

struct matmul {
  struct matmul_shape shape;
};

struct run {
  struct matmul_shape shape;
  struct matmul_call call;
};

enum status blas_open(struct blas **out) {
  *out = calloc(1, sizeof **out);
  return *out ? OK : fail(E_MEMORY, "out of memory for cuBLASLt");
}

enum status blas_open_described(struct blas **out) { return blas_open(out); }

void blas_close(struct blas **blas) {
  free(*blas);
  *blas = NULL;
}

enum status matmul_open(struct matmul **out, struct blas *blas, const struct matmul_shape *shape) {
  (void)blas;
  *out = calloc(1, sizeof **out);
  if (!*out) return fail(E_MEMORY, "out of memory for a matrix product");
  (*out)->shape = *shape;
  return OK;
}

void matmul_close(struct matmul **matmul) {
  free(*matmul);
  *matmul = NULL;
}

size_t matmul_workspace(const struct matmul *matmul) {
  (void)matmul;
  return WORKSPACE;
}

/* Where element (row, column) of a matrix lies that has `columns` of them, or is stored transposed with `rows`. */
static int64_t place(int64_t row, int64_t column, bool transposed, int64_t rows, int64_t columns,
                     int64_t stride) {
  return transposed ? column * (stride ? stride : rows) + row : row * (stride ? stride : columns) + column;
}

static void work(void *arguments) {
  const struct run *r = arguments;
  const struct matmul_shape *s = &r->shape;
  for (int64_t row = 0; row < s->rows; row++) {
    for (int64_t column = 0; column < s->columns; column++) {
      const int64_t at = place(row, column, false, s->rows, s->columns, s->c_stride);
      double sum = s->bias ? numbers_get(r->call.bias, column, s->out) : 0;
      if (r->call.accumulate) sum += numbers_get(r->call.c, at, s->out);
      for (int64_t i = 0; i < s->inner; i++) {
        sum += numbers_get(r->call.a, place(row, i, s->a_transposed, s->rows, s->inner, s->a_stride), s->in) *
               numbers_get(r->call.b, place(i, column, s->b_transposed, s->inner, s->columns, s->b_stride),
                           s->in);
      }
      numbers_put(r->call.c, at, sum, s->out);
    }
  }
  memset(r->call.workspace, 0xff, WORKSPACE);
}

enum status matmul_run(struct matmul *matmul, void *stream, const struct matmul_call *call) {
  struct run run = {matmul->shape, *call};
  cudaError_t error = emulation_enqueue(stream, work, &run, sizeof run);
  return error == cudaSuccess ? OK : fail(E_DEVICE, "product: %s", cudaGetErrorString(error));
}
