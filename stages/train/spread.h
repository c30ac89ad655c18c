/* How embeddings lie on the unit sphere, from one training batch: whether they collapse.
 *
 *   std         mean over dimensions of the standard deviation over rows, times sqrt(D): 1 where they point
 *               everywhere alike, 0 where all are one point (Chen & He, "Exploring simple Siamese
 *               representation learning", section 4.1)
 *   alignment   mean |z1 - z2|^2 over the pairs: 0 where the views agree
 *   uniformity  log mean exp(-2 |zi - zj|^2) over pairs of images, the mean of both views: 0 where all are one
 *               point (Wang & Isola, "Understanding contrastive representation learning through alignment and
 *               uniformity on the hypersphere", 2020, eqs. 4 and 5 with alpha 2 and t 2) */
#ifndef TRAIN_SPREAD_H
#define TRAIN_SPREAD_H

#include <stdint.h>

struct spread {
  double std, alignment, uniformity;
};

/* z [2n, dim]: n embeddings of the first view, then those of the second; n >= 2. Scaled to unit rows in place. */
struct spread spread_of(float *z, int64_t n, int64_t dim);

#endif
