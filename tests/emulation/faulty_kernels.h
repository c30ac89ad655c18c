/* What the emulation has to find (orders_test.c). */
#ifndef EMULATION_FAULTY_KERNELS_H
#define EMULATION_FAULTY_KERNELS_H

#include "cuda_runtime_api.h"

enum { FAULTY_NUMBERS = 64 };
enum faulty_kernel {
  FAULTY_READ_UNWRITTEN,
  FAULTY_READ_BEFORE_A_BARRIER,
  FAULTY_WRITE_BEFORE_A_BARRIER,
  FAULTY_PASS_A_WARP_BARRIER,
  FAULTY_LOOK_BOTH_WAYS,
  FAULTY_FOLLOW_A_BLOCK
};

#ifdef __cplusplus
extern "C"
#endif
    /* Writes FAULTY_NUMBERS numbers, which are all 1 if its mistake does not show. */
    cudaError_t
    run_faulty(enum faulty_kernel which, float *out, cudaStream_t stream);

#endif
