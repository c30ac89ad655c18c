/* The inner loops of BatchNorm on the CPU, over one block of channels of one image (cpu_view in cpu.h):
 * `runs` runs of `length` numbers, `stride` apart, whose number j belongs to slot j % 16
 * of the coefficients. */
#ifndef NN_BATCH_NORM_LOOPS_H
#define NN_BATCH_NORM_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

struct bn_piece {
  int64_t runs, stride, length;
  const float *x;
  const float *mean, *scale, *beta; /* [16]; scale = gamma / sqrt(var + eps) */
  bool relu;

  const float *residual; /* forward, added before the ReLU; NULL: none */
  float *y;

  const float *dy, *y_kept; /* backward; y_kept only with a residual: where the ReLU let pass */
  float *dresidual;         /* NULL: none */
  float *dx;
  const float *factor, *slope, *offset; /* [16]: dx = factor g - slope (x - mean) - offset */
};

/* sum += x - mean, squares += (x - mean)^2, per slot; `mean` is any value near the data. */
void bn_moments(const struct bn_piece *p, double sum[16], double squares[16]);

/* y = scale (x - mean) + beta [+ residual] [ReLU] */
void bn_normalise(const struct bn_piece *p);

/* g = dy where the ReLU let pass; dresidual = g; sum += g, dot += g (x - mean), per slot */
void bn_gradient_sums(const struct bn_piece *p, double sum[16], double dot[16]);

/* dx from the same g */
void bn_gradient(const struct bn_piece *p);

#endif
