#include "base/numeric.h"

#include <math.h> /* INFINITY only */
#include <string.h>

/* ln 2 in two parts; the first has 21 zero bits at its end, so that its product with an exponent is exact. */
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;

static double power_of_two(int64_t k) { /* -1022 <= k <= 1023 */
  uint64_t bits = (uint64_t)(k + 1023) << 52;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

double numeric_exp(double x) {
  if (x < -708) return 0;
  if (x > 709) return INFINITY;
  double k = numeric_round(x * 0x1.71547652b82fep0), r = (x - k * ln2_high) - k * ln2_low;
  double sum = 1; /* Taylor, |r| <= 0.347: r^16/16! < 2e-21 */
  for (int i = 15; i > 0; i--) sum = 1 + r * sum / i;
  return k > 1022 ? sum * power_of_two((int64_t)k - 1) * 2 : sum * power_of_two((int64_t)k);
}

double numeric_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int64_t k = (int64_t)(bits >> 52) - 1023;
  double m = x * power_of_two(k > 0 ? -(k - 1) : -k) * (k > 0 ? 0.5 : 1.0);
  if (m > 0x1.6a09e667f3bcdp0) { /* sqrt 2: keep m within [0.7, 1.42) */
    m *= 0.5;
    k++;
  }
  double s = (m - 1) / (m + 1), s2 = s * s, sum = 0; /* ln m = 2 artanh s, |s| <= 0.172 */
  for (int i = 27; i > 0; i -= 2) sum = 1.0 / i + s2 * sum;
  return (double)k * ln2_high + (2 * s * sum + (double)k * ln2_low);
}

void numeric_sincos(double degrees, double *sine, double *cosine) {
  double quarters = numeric_round(degrees / 90);
  double x = (degrees - 90 * quarters) * 0x1.1df46a2529d39p-6; /* pi/180; |x| <= pi/4, the difference exact */
  double x2 = x * x, s = 1, c = 1;
  for (int i = 18; i > 1; i -= 2) { /* Taylor: x^19/19! < 1e-19 */
    s = 1 - x2 * s / (i * (i + 1));
    c = 1 - x2 * c / ((i - 1) * i);
  }
  s *= x;
  int64_t turn = (int64_t)quarters & 3;
  *sine = turn == 0 ? s : turn == 1 ? c : turn == 2 ? -s : -c;
  *cosine = turn == 0 ? c : turn == 1 ? -s : turn == 2 ? -c : s;
}
