/* One element of bce_with_logits, and its derivative; neither overflows for any x. */
#include <math.h>

#include "nn/inline.h"

NN_INLINE double term(double x, double t) { return fmax(x, 0.0) + log1p(exp(-fabs(x))) - t * x; }

NN_INLINE double slope(double x, double t) { return 1 / (1 + exp(-x)) - t; }
