/* bfloat16: the upper half of a float, rounded to nearest even. For kernels, and for the host's conversions. */
#ifndef NN_CUDA_BF16_H
#define NN_CUDA_BF16_H

#include <stdint.h>
#include <string.h>

#include "nn/inline.h"

typedef struct {
  uint16_t bits;
} bf16;

NN_INLINE float bf16_widen(bf16 x) {
  uint32_t bits = (uint32_t)x.bits << 16;
  float wide;
  memcpy(&wide, &bits, sizeof wide);
  return wide;
}

NN_INLINE bf16 bf16_round(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bf16 nan = {(uint16_t)(bits >> 16 | 0x40)}; /* quiet: the carry below could make it infinite */
  bf16 near = {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
  return x != x ? nan : near;
}

#endif
