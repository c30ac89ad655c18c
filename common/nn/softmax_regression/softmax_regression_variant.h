/* What a backend's variant of softmax_regression.h is: kernel_softmax_regression_BACKEND.algorithm. The front does the
 * rest: arguments, ranges, the penalty. */
#ifndef NN_SOFTMAX_REGRESSION_VARIANT_H
#define NN_SOFTMAX_REGRESSION_VARIANT_H

#include "nn/engine.h"
#include "nn/softmax_regression/softmax_regression.h"

struct softmax_regression {
  const struct backend *backend;
  void *device; /* the backend's context */
  const struct softmax_regression_variant *variant;
  int64_t dim, params, most_rows;
  int32_t classes;
  int threads;
  int threads_before; /* OpenMP's, of the thread that opened it */
  void *work;         /* the variant's scratch memory */
};

/* In `rows`, x and y are addresses where the variant reads. theta, gradient and all other results are the host's. */
struct softmax_regression_variant {
  void (*enter)(void); /* before anything else, on the calling thread; optional */

  /* Makes s->work; `close` frees it, also half-made. */
  enum status (*open)(struct softmax_regression *s);
  void (*close)(struct softmax_regression *s);

  /* Copies samples->x and samples->y and sets those of `rows`, which are NULL, to where they are. No `load`: they are
   * read where they are. */
  enum status (*load)(struct softmax_regression *s, const struct samples *samples, struct samples *rows);
  void (*unload)(struct softmax_regression *s, struct samples *rows); /* also half-loaded */

  /* The sum of cross-entropies, *loss (=), and its gradient (+=). */
  enum status (*objective)(struct softmax_regression *s, const struct samples *rows, const double *theta,
                           double *loss, double *gradient);
  enum status (*count)(struct softmax_regression *s, const struct samples *rows, const double *theta,
                       int64_t *correct, int64_t *count);
  enum status (*gram)(struct softmax_regression *s, const struct samples *rows, double *gram);
};

#endif
