/* Rotation by quarter turns counterclockwise, exactly: class 1 is out[y,x] = in[x, W-1-y], class 2 both
 * flips, class 3 out[y,x] = in[H-1-x, y] (methods section 4, E-SSL). */
#ifndef IMAGE_QUARTER_TURN_H
#define IMAGE_QUARTER_TURN_H

#include "image/planes.h"

/* The image turned by turns (0 to 3) as new current planes of `work`; an odd number swaps width and height.
 * E_MEMORY. */
enum status quarter_turn(struct workspace *work, const struct planes *in, int turns, struct planes *out);

#endif
