/* AugMix (Hendrycks et al., ICLR 2020): a mixture of chains of operations on 8-bit images, after the authors'
 * public definition of the operations (methods section 1, AugMix).
 *
 *   out = (1 - m) x + m sum_k w_k chain_k(q),  q = round(255 x) once, chains in 8 bits, the mixture in float */
#ifndef IMAGE_AUGMIX_H
#define IMAGE_AUGMIX_H

#include "image/planes.h"

enum augmix_kind {
  AUGMIX_AUTOCONTRAST,
  AUGMIX_EQUALIZE,
  AUGMIX_POSTERIZE, /* magnitude: bits kept */
  AUGMIX_SOLARIZE,  /* threshold, grey level */
  AUGMIX_ROTATE,    /* degrees counterclockwise, whole */
  AUGMIX_SHEAR_X,   /* factor */
  AUGMIX_SHEAR_Y,
  AUGMIX_TRANSLATE_X, /* pixels to the left, whole */
  AUGMIX_TRANSLATE_Y, /* pixels up */
  AUGMIX_KINDS
};

enum { AUGMIX_MAX_WIDTH = 4, AUGMIX_MAX_DEPTH = 3 };

struct augmix_op {
  enum augmix_kind kind;
  float magnitude; /* 0 for the first two */
};

struct augmix_chain {
  float weight; /* w_k */
  int depth;    /* 1 to AUGMIX_MAX_DEPTH */
  struct augmix_op op[AUGMIX_MAX_DEPTH];
};

struct augmix {
  float m; /* 0: the image as it is */
  int width;
  struct augmix_chain chain[AUGMIX_MAX_WIDTH];
};

/* In place on the current planes of `work`. E_MEMORY. */
enum status augmix_apply(struct workspace *work, const struct augmix *mix, const struct planes *image);

#endif
