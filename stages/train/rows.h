/* Rows of numbers on the unit sphere: what embeddings are compared as. */
#ifndef TRAIN_ROWS_H
#define TRAIN_ROWS_H

#include <stdint.h>

/* Scales each row of x [n, dim] to length 1; a row of zeros stays. */
void rows_normalise(float *x, int64_t n, int64_t dim);

/* The scalar product, summed in a fixed order: of unit rows the cosine, with an error around 1e-7. */
double rows_product(const float *a, const float *b, int64_t dim);

#endif
