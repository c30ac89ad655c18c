/* cuDNN and cuBLASLt, opened when the first cuda device is: a CUDA build starts, and trains on the CPU, on a
 * machine that has neither. CUDA builds only.
 *
 * A library is a table of its functions, typed by its own header. It is never closed: both keep threads and
 * device state of their own until the process ends. */
#ifndef NN_CUDA_LIBRARIES_H
#define NN_CUDA_LIBRARIES_H

#include <cublasLt.h>
#include <cudnn.h>

#include "base/status.h"

#define CUDNN_FUNCTIONS(X)                                                                                   \
  X(cudnnGetVersion)                                                                                         \
  X(cudnnGetErrorString)                                                                                     \
  X(cudnnGetLastErrorString)                                                                                 \
  X(cudnnCreate)                                                                                             \
  X(cudnnDestroy)                                                                                            \
  X(cudnnSetStream)                                                                                          \
  X(cudnnBackendCreateDescriptor)                                                                            \
  X(cudnnBackendDestroyDescriptor)                                                                           \
  X(cudnnBackendSetAttribute)                                                                                \
  X(cudnnBackendGetAttribute)                                                                                \
  X(cudnnBackendFinalize)                                                                                    \
  X(cudnnBackendExecute)

#define CUBLASLT_FUNCTIONS(X)                                                                                \
  X(cublasLtGetVersion)                                                                                      \
  X(cublasLtGetStatusString)                                                                                 \
  X(cublasLtCreate)                                                                                          \
  X(cublasLtDestroy)                                                                                         \
  X(cublasLtMatmulDescCreate)                                                                                \
  X(cublasLtMatmulDescDestroy)                                                                               \
  X(cublasLtMatmulDescSetAttribute)                                                                          \
  X(cublasLtMatrixLayoutCreate)                                                                              \
  X(cublasLtMatrixLayoutDestroy)                                                                             \
  X(cublasLtMatmulPreferenceCreate)                                                                          \
  X(cublasLtMatmulPreferenceDestroy)                                                                         \
  X(cublasLtMatmulPreferenceSetAttribute)                                                                    \
  X(cublasLtMatmulAlgoGetHeuristic)                                                                          \
  X(cublasLtMatmul)

#define LIBRARY_FIELD(name) __typeof__(&(name)) name; /* NOLINT(bugprone-macro-parentheses) */

struct cudnn_functions {
  CUDNN_FUNCTIONS(LIBRARY_FIELD)
};
struct cublaslt_functions {
  CUBLASLT_FUNCTIONS(LIBRARY_FIELD)
};

/* Errors: E_DEVICE (which library or function is missing, where it was looked for, what to install),
 * E_VERSION. */
enum status libraries_cudnn(struct cudnn_functions *out);
enum status libraries_cublaslt(struct cublaslt_functions *out);

/* A shared library and the functions wanted of it. */
struct library {
  const char *file;         /* e.g. "libcudnn.so.9" */
  const char *package;      /* what to install */
  const char *const *names; /* ends with NULL */
};

/* Fills `table`, one function pointer per name in their order. Errors: E_DEVICE. */
enum status library_open(const struct library *library, void *table);

#endif
