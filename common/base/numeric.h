/* exp, log, sine and cosine from basic operations alone, so that the same argument gives the same bits on every machine
 * (the C library's depend on its version and on the CPU). Relative error below 1e-15. Pure functions. */
#ifndef BASE_NUMERIC_H
#define BASE_NUMERIC_H

#include <stdint.h>

double numeric_exp(double x); /* 0 below -708, infinity above 709 */
double numeric_log(double x); /* x > 0, normal */

/* Of an angle in degrees, |degrees| < 2^40; exact at multiples of 90. Absolute error below 1e-15. */
void numeric_sincos(double degrees, double *sine, double *cosine);

/* To the nearest integer, half to even; |x| < 2^51. */
static inline double numeric_round(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

#endif
