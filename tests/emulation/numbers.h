/* Numbers of device memory as the libraries take them, one by one and whole. */
#ifndef EMULATION_NUMBERS_H
#define EMULATION_NUMBERS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/bf16.h"
#include "nn/cuda/numbers.h"

/* 10 bits of mantissa, the others cut off: what tensor cores make of float32 that nobody has rounded for them, and
 * farther from it than rounding is. */
static inline float numbers_tf32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits &= ~UINT32_C(0x1fff);
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline double numbers_get(const void *at, int64_t i, enum number number) {
  if (number == NUMBER_F64) return ((const double *)at)[i];
  if (number == NUMBER_BF16) return bf16_widen(((const bf16 *)at)[i]);
  float x = ((const float *)at)[i];
  return number == NUMBER_TF32 && x == x ? numbers_tf32(x) : x;
}

static inline void numbers_put(void *at, int64_t i, double x, enum number number) {
  if (number == NUMBER_F64) {
    ((double *)at)[i] = x;
  } else if (number == NUMBER_BF16) {
    ((bf16 *)at)[i] = bf16_round((float)x);
  } else {
    ((float *)at)[i] = (float)x;
  }
}

static inline double *numbers_zero(int64_t count) {
  double *x = calloc((size_t)count, sizeof *x);
  if (!x) abort();
  return x;
}

static inline double *numbers_read(const void *at, int64_t count, enum number number) {
  double *x = numbers_zero(count);
  for (int64_t i = 0; i < count; i++) x[i] = numbers_get(at, i, number);
  return x;
}

static inline void numbers_write(void *at, const double *x, int64_t count, enum number number) {
  for (int64_t i = 0; i < count; i++) numbers_put(at, i, x[i], number);
}

#endif
