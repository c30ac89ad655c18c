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

/* Two numbers, the first in the lower half. A GPU has an instruction for it, which makes every NaN 0x7fff. */
#ifdef __CUDA_ARCH__
NN_INLINE uint32_t bf16_round_pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

NN_INLINE bf16 bf16_round(float x) {
  bf16 near = {(uint16_t)bf16_round_pair(x, 0)};
  return near;
}
#else
NN_INLINE bf16 bf16_round(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bf16 nan = {(uint16_t)(bits >> 16 | 0x40)}; /* quiet: the carry below could make it infinite */
  bf16 near = {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
  return x != x ? nan : near;
}

NN_INLINE uint32_t bf16_round_pair(float low, float high) {
  return bf16_round(low).bits | (uint32_t)bf16_round(high).bits << 16;
}
#endif

#endif
