/* Every image in its four orientations: x [N,C,S,S] -> y [4N,C,S,S], rows kN + n the image n turned by k quarter
 * turns counter-clockwise.
 *
 *   k = 1: y[r,c] = x[c, S-1-r];   k = 2: y[r,c] = x[S-1-r, S-1-c];   k = 3: y[r,c] = x[S-1-c, r]
 *
 * Errors: E_SHAPE (images that are not square). */
#ifndef NN_ROTATIONS_H
#define NN_ROTATIONS_H

#include "nn/graph.h"

enum { N_ROTATIONS = 4 };

struct value rotations(struct graph *g, struct value x);

#endif
