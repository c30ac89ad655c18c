/* Colour operations in place on float planes, with torchvision's float formulas (L = .2989 R + .587 G + .114
 * B; every result clamped to [0,1]). A factor of 1 (hue: 0) changes nothing. Deterministic to the bit on
 * every CPU. */
#ifndef IMAGE_COLOR_H
#define IMAGE_COLOR_H

#include "image/planes.h"

void color_brightness(const struct planes *image, float factor); /* f x */
void color_contrast(const struct planes *image,
                    float factor); /* f x + (1-f) mean(L), the mean over this image */
void color_saturation(const struct planes *image, float factor); /* f x + (1-f) L */
void color_hue(const struct planes *image,
               float turn);                  /* HSV hue moved by `turn` of the circle, |turn| <= 0.5 */
void color_gray(const struct planes *image); /* every channel = L */

#endif
