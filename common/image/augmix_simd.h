/* The loops of augmix.c, over `n` pixels or a row of them. */
#ifndef IMAGE_AUGMIX_SIMD_H
#define IMAGE_AUGMIX_SIMD_H

#include <stddef.h>
#include <stdint.h>

#include "image/lut.h"

/* Word i = round(255 rgb[c][i]) of the three channels, red in the lowest byte. */
void augmix_quantise(const float *const rgb[3], size_t n, uint32_t *words);

/* Every channel by its table. */
void augmix_lookup(const uint32_t *in, size_t n, const struct lut lut[3], uint32_t *out);

/* rgb[c][i] = min(keep rgb[c][i] + weight words[i], 1), the words' channels as 0 to 255. */
void augmix_add(float *const rgb[3], float keep, const uint32_t *words, float weight, size_t n);

#endif
