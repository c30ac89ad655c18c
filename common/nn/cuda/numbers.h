/* How numbers lie in device memory and are multiplied. Sums are float32 in every case. */
#ifndef NN_CUDA_NUMBERS_H
#define NN_CUDA_NUMBERS_H

#include <stddef.h>

enum numbers {
  NUMBERS_F32,  /* float32, multiplied as such: direct convolutions on the ordinary cores */
  NUMBERS_TF32, /* float32 in memory, rounded to 10 bits of mantissa by the tensor cores that multiply them */
  NUMBERS_BF16  /* bfloat16 in memory, tensor cores */
};

static inline size_t numbers_bytes(enum numbers numbers) { return numbers == NUMBERS_BF16 ? 2 : 4; }

static inline const char *numbers_name(enum numbers numbers) {
  static const char *const names[] = {"f32", "tf32", "bf16"};
  return names[numbers];
}

#endif
