/* The inner loops of phi on the CPU: rows of a matrix as they lie in memory times a panel, sixteen columns of
 * another one after the other ([n][16]). */
#ifndef NN_HYPER_BILINEAR_LOOPS_H
#define NN_HYPER_BILINEAR_LOOPS_H

#include <stdint.h>

enum { PANEL = 16 };

/* a [rows, n], its rows `stride` apart. */
struct hyper_rows {
  const float *a;
  int64_t rows, stride, n;
};

/* sum[16] += over the rows of weight[row][16] * (a panel)[row][16] */
void hyper_weighted_sum(const struct hyper_rows *a, const float *panel, const float *weight, float *sum);

/* c = a panel: `columns` <= 16 of them, c's rows c_stride apart. */
void hyper_product(const struct hyper_rows *a, const float *panel, float *c, int64_t c_stride,
                   int64_t columns);

#endif
