/* Gaussian blur in float: separable, g_i ~ exp(-i^2 / 2 sigma^2) for i = -(k-1)/2 .. (k-1)/2, normalised to
 * sum 1, borders mirrored without repeating the edge pixel. */
#ifndef IMAGE_BLUR_H
#define IMAGE_BLUR_H

#include "image/planes.h"

enum { BLUR_MAX_KERNEL = 255 };

/* half[0] the centre's weight, half[i] that of both neighbours at distance i; i <= (kernel-1)/2. kernel odd,
 * sigma > 0. */
void blur_weights(int32_t kernel, double sigma, double *half);

/* The blurred image as new current planes of `work`. E_MEMORY. */
enum status blur_gaussian(struct workspace *work, const struct planes *in, int32_t kernel, double sigma,
                          struct planes *out);

#endif
