/* Grey-level tables: operations that change every 8-bit value of a channel by a table, as PIL does them
 * (methods section 1, AugMix). Pure functions; integers and double arithmetic in a fixed order. */
#ifndef IMAGE_LUT_H
#define IMAGE_LUT_H

#include <stdbool.h>

#include "image/planes.h"

struct lut {
  uint8_t at[256];
};

struct histogram {
  uint32_t count[256];
};

/* Darkest value to 0, lightest to 255: clip(trunc(v s - low s), 0, 255), s = 255 / (high - low); identity for
 * one value. */
void lut_autocontrast(const struct histogram *h, struct lut *out);

/* min((step/2 + sum_{k<v} h[k]) / step, 255), step = (sum - h[highest occupied]) / 255; identity if step = 0.
 */
void lut_equalize(const struct histogram *h, struct lut *out);

void lut_posterize(int bits, struct lut *out);     /* keeps the `bits` (0 to 8) highest */
void lut_solarize(int threshold, struct lut *out); /* v < threshold ? v : 255 - v */
void lut_identity(struct lut *out);

/* first becomes first, then `then`. */
void lut_append(struct lut *first, const struct lut *then);

/* The histogram that an image of histogram `h` has after `lut`. */
void lut_histogram(const struct lut *lut, const struct histogram *h, struct histogram *out);

/* Of a channel's values as 8-bit: round(255 x). */
void planes_histogram(const struct planes *image, int channel, struct histogram *out);

/* Every value of a channel to lut[round(255 x)] / 255, in place. */
void planes_lut(const struct planes *image, int channel, const struct lut *lut);

/* x < threshold ? x : 1 - x, in float, in place. */
void planes_solarize(const struct planes *image, float threshold);

#endif
