/* Affine transformations of pixels' places: rotation, shear, translation, with the conventions of PIL's
 * transform (methods section 1, AugMix).
 *
 * Positions are those of pixel centres, column + 1/2 and row + 1/2. An output pixel whose place lies outside
 * [0,W) x [0,H) of the input becomes 0; another is interpolated bilinearly, neighbours outside replaced by the
 * nearest pixel. Positions are 64-bit fixed-point numbers with 32 fraction bits, so a result depends neither
 * on the order of work nor on the instruction set. */
#ifndef IMAGE_AFFINE_H
#define IMAGE_AFFINE_H

#include "image/planes.h"

/* Output position (x, y) shows input position (xx x + xy y + x0, yx x + yy y + y0). */
struct affine {
  double xx, xy, x0, yx, yy, y0;
};

/* Counterclockwise about the centre. |degrees| < 2^40 */
struct affine affine_rotation(struct extent size, double degrees);
struct affine affine_shear_x(double factor); /* x + factor y */
struct affine affine_shear_y(double factor); /* y + factor x */
struct affine affine_translation(double x,
                                 double y); /* x + `x`, y + `y`: the picture moves to the left and up */

/* The transformed image as new current planes of `work`, in float. E_MEMORY. */
enum status affine_planes(struct workspace *work, const struct planes *in, const struct affine *map,
                          struct planes *out);

/* 8-bit images with a pixel in a word, red in its lowest byte, and a margin of one pixel on every side. */
struct words {
  int32_t width, height;
  ptrdiff_t stride;
  uint32_t *at; /* pixel (0,0) */
};

/* How many words an image with its margin takes, and such an image in that memory. */
size_t words_needed(struct extent size);
struct words words_in(uint32_t *memory, struct extent size);

/* Truncates to 8 bits, as PIL does. out: of the same size, another image; its margin is not written. The input's
 * margin is. */
void affine_words(const struct words *in, const struct affine *map, const struct words *out);

#endif
