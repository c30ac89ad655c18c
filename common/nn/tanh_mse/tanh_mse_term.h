/* One element of tanh_mse, and its derivative. */
#include <math.h>

#include "nn/inline.h"

NN_INLINE double term(double x, double t) {
  double off = tanh(x) - t;
  return off * off;
}

NN_INLINE double slope(double x, double t) {
  double y = tanh(x);
  return 2 * (y - t) * (1 - y * y);
}
