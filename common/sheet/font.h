/* Small letters for pictures: a bitmap font of 5 x 9 pixels. Pure functions. */
#ifndef SHEET_FONT_H
#define SHEET_FONT_H

#include "image/image.h"

enum { FONT_WIDTH = 6, FONT_HEIGHT = 11 }; /* from letter to letter and from line to line, at scale 1 */

/* Draws `n` characters of `text` with their upper left corner at (x, y), each dot scale x scale pixels; what
 * lies outside the image is left out. */
void font_draw(const struct image *image, int32_t x, int32_t y, const char *text, size_t n, int32_t scale,
               const uint8_t colour[3]);

#endif
