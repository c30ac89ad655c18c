/* What is trained: a base loss, which compares two aligned sets of features, and a method, which says what is
 * compared.
 *
 * Each base is a file of bases/, each method a file of methods/, found by name, with flags and networks of its
 * own. They append to the graph of one training step and read like the paper's equations. */
#ifndef TRAIN_METHOD_H
#define TRAIN_METHOD_H

#include "labels.h"
#include "model/head.h"
#include "model/model.h"
#include "options.h"

/* The graph of a training step while it is built. N images, D features; borrowed by bases and methods. */
struct step {
  struct graph *graph;
  struct model *model;  /* the trained networks */
  struct model *target; /* the base's target networks; NULL: it has none */
  struct ema *ema;      /* moves them; NULL: there are none */
  const struct base *base;
  const struct method *method;
  struct method_options options; /* resolved */
  struct widths projector, predictor, trans_backbone, trans_projector;
  int64_t label_kinds;               /* bits 1 << enum label: --labels */
  const char *device;                /* borrowed */
  int64_t batch;                     /* N */
  struct value views;                /* input [2N, 3, H, W]: the first view of every image, then the second */
  int64_t third_height, third_width; /* pixels; 0: there is no third view */
  struct value third;                /* input [N, 3, h, w]; id 0: the method has no use for it */
  struct value labels;               /* input [2N, LABEL_COLUMNS]: d(1,2), then d(2,1); id 0: as above */
  struct value y;                    /* features [2N, D] */
  struct value y_target;             /* target_features; id 0: not made */
  struct value embeddings;    /* what monitors look at [2N, D]: the projections that the invariance term
                                        compares, or y where there is no such term */
  struct value loss[N_TERMS]; /* [1] each, unweighted; set by the method; id 0: not computed */
  struct value total;         /* [1] */
};

/* --- Bases ---------------------------------------------------------------------------------------------- */

/* What a term compares: row i of `pairs` with row i + M. */
struct comparison {
  const char *projector, *predictor; /* names of its heads, which no other term shares */
  const struct widths *widths;       /* of the projector */
  struct value pairs;                /* [2M, D] */
  int calls;                         /* the rows are that many consecutive BatchNorm calls */
  bool prediction;                   /* the second half predicts the first */
  struct value
      target; /* the same by the target networks [2M, D], of a prediction what it predicts [M, D]; id 0:
                          the base has none */
};

struct base {
  const char *name, *summary;
  const struct opt *opts; /* flags of its own, of a struct of at most OWN_OPTIONS_SIZE bytes; NULL: none */
  enum status (*check)(const void *own); /* whether their values are in range; NULL: any are. E_ARG */
  const char *projector, *trans_projector, *predictor; /* default widths; predictor NULL: it has none */
  bool constant_predictor;                             /* the predictors' learning rate is not scheduled */
  /* -> [1]; *z: the projections of `pairs` that it compares, of a prediction those of its second half. */
  struct value (*loss)(struct step *s, const struct comparison *c, struct value *z);
  /* With target networks: xi <- m xi + (1 - m) theta after every step, m in epoch `epoch` (from 0) of
   * `epochs`. NULL: it has none. */
  double (*target_momentum)(const void *own, int64_t epoch, int64_t epochs);
};

/* --- Methods -------------------------------------------------------------------------------------------- */

struct method {
  const char *name, *summary;
  const struct opt *opts; /* as above */
  enum status (*check)(const void *own);
  double weight[N_TERMS];        /* of the terms where no flag says otherwise */
  void (*build)(struct step *s); /* sets s->loss; leaves out terms whose weight is 0 */
};

/* Resolves --method and --base. E_ARG lists the valid names. */
enum status method_find(const struct method_options *o, const struct method **method,
                        const struct base **base);

/* Fills in what is "auto" with what method and base have, and their names. E_ARG (also: a width list for a
 * predictor that the base does not have). */
enum status method_resolve(struct method_options *o);

/* The values of the flags of its own that the step's base or method declares. */
const void *base_own(const struct step *s);
const void *method_own(const struct step *s);

/* --- For methods ---------------------------------------------------------------------------------------- */

static inline bool step_wants(const struct step *s, enum term term) { return s->options.weight[term] > 0; }

/* y = (f(x1); f(x2)) [2N, D], two BatchNorm calls. */
struct value features(struct step *s);

/* The same by the base's target networks; the value with id 0 if it has none. After features. */
struct value target_features(struct step *s);

/* Sets the term's loss: row i of `pairs` [2M, D], of `calls` BatchNorm calls, with row i + M. `target`: what the
 * target networks have in their place, or the value with id 0. */
void compare(struct step *s, enum term term, struct value pairs, struct value target, int calls);

/* The same for y [2N, D] and `predicted` in its place; target: target_features, or what is made of them. */
void compare_prediction(struct step *s, enum term term, struct value y, struct value predicted,
                        struct value target);

/* The third view [N, 3, h, w]. E_ARG sticks to the graph if there is none. */
struct value third_view(struct step *s);

/* Columns of the label differences (d(1,2); d(2,1)) [2N, n]. */
struct value label(struct step *s, enum label kind);

/* The labels --labels of the transformations that lead from (y2; y1) to (y1; y2): l(a, b) = -d(a, b), [2N, K]. */
struct value labels_back(struct step *s);

/* Rows [first, first + count) of x. */
struct value rows(struct graph *g, struct value x, int64_t first, int64_t count);

/* The halves of x [2N, D] exchanged: (a; b) -> (b; a). */
struct value swap_halves(struct graph *g, struct value x);

/* The names that --base takes, and --method: those of the methods, then the bases'. NULL behind the last. */
const char *base_name_at(size_t i);
const char *method_name_at(size_t i);

/* Places in the registries, and the flags that their entries declare (opt.tables of cli.h). */
size_t base_place(const struct base *base);
size_t method_place(const struct method *method);
const struct opt *base_opts_at(size_t i);
const struct opt *method_opts_at(size_t i);

#endif
