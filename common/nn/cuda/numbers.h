/* What NVIDIA's libraries multiply: the numbers of a precision, with sums in float32, or float64, in which no network is
 * computed, with sums in float64. */
#ifndef NN_CUDA_NUMBERS_H
#define NN_CUDA_NUMBERS_H

#include "nn/graph.h"

enum number { NUMBER_F32, NUMBER_TF32, NUMBER_BF16, NUMBER_F64 };

static inline const char *number_name(enum number number) {
  static const char *const names[] = {"f32", "tf32", "bf16", "f64"};
  return names[number];
}

static inline enum number number_of(enum precision precision) {
  return precision == PRECISION_BF16 ? NUMBER_BF16 : precision == PRECISION_TF32 ? NUMBER_TF32 : NUMBER_F32;
}

static inline const char *precision_name(enum precision precision) {
  return number_name(number_of(precision));
}

#endif
