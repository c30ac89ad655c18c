/* Matrix products of the cuda backend: an algorithm is chosen when a product is opened, while the graph is
 * planned; it is run any number of times, also while a CUDA graph is captured.
 *
 * Nothing of cuBLAS shows here, so that tests compute the same on the CPU with plain loops
 * (tests/emulation/matmul_emulated.c). The same algorithm gives the same bytes on every run: partial sums are added in
 * an order that does not depend on timing. One thread. */
#ifndef NN_CUDA_MATMUL_H
#define NN_CUDA_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "nn/cuda/numbers.h"

#ifdef __cplusplus
extern "C" {
#endif

struct blas;

/* Loads the library. Errors: E_DEVICE, E_VERSION, E_MEMORY. */
enum status blas_open(struct blas **out);
/* Plans for a GPU that is only described: the library is not loaded, every product's workspace counts at its
 * limit, and nothing can be run. E_MEMORY. */
enum status blas_open_described(struct blas **out);
void blas_close(struct blas **blas); /* accepts NULL; nulls */

/* c [rows, columns] = a [rows, inner] b [inner, columns] [+ bias [columns], on every row] [+ c]
 * All are row-major. A stride counts numbers from one row in memory to the next; 0: packed. */
struct matmul_shape {
  int64_t rows, columns, inner;
  bool a_transposed, b_transposed; /* a lies in memory as [inner, rows], b as [columns, inner] */
  int64_t a_stride, b_stride, c_stride;
  enum number in, out; /* of a and b; of c and the bias. f32 and tf32 give f32, bf16 either, f64 f64 */
  bool bias;           /* not with f64 */
  size_t alignment;    /* what every address is a multiple of, in bytes; 0: 16 */
};

struct matmul;

/* Errors: E_SHAPE, E_DEVICE, E_MEMORY. */
enum status matmul_open(struct matmul **out, struct blas *blas, const struct matmul_shape *shape);
void matmul_close(struct matmul **matmul); /* accepts NULL; nulls. Before its blas */

size_t matmul_workspace(const struct matmul *matmul); /* bytes that a run needs */

struct matmul_call {
  const void *a, *b, *bias; /* bias: only of shapes that have one */
  void *c, *workspace;
  bool accumulate; /* adds to c; without it c is only written */
};

/* stream: a cudaStream_t. Nothing is waited for. Errors: E_DEVICE. */
enum status matmul_run(struct matmul *matmul, void *stream, const struct matmul_call *call);

#ifdef __cplusplus
}
#endif

#endif
