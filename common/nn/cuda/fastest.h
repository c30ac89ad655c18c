/* The fastest of several ways to do the same, by the GPU's clock. For planning: it waits for the stream. */
#ifndef NN_CUDA_FASTEST_H
#define NN_CUDA_FASTEST_H

#include <cuda_runtime_api.h>

#include "base/status.h"

/* run(context, way) starts way 0..n-1 on the stream, n >= 1. A way that fails is passed over; if all do, the last one's error is
 * returned. The first of equals wins. Errors: run's, E_DEVICE. */
enum status fastest(cudaStream_t stream, int n, enum status (*run)(void *context, int way), void *context,
                    int *best);

#endif
