/* How numbers are multiplied by NVIDIA's libraries: at a precision; sums are float32 at each. */
#ifndef NN_CUDA_NUMBERS_H
#define NN_CUDA_NUMBERS_H

#include "nn/graph.h"

static inline const char *precision_name(enum precision precision) {
  static const char *const names[] = {"f32", "tf32", "bf16"};
  return names[precision];
}

#endif
