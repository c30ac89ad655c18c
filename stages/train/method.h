/* What is trained: a base loss, which compares two aligned sets of features, and a method, which says what is
 * compared.
 *
 * Each base is a file of bases/, each method a file of methods/, found by name. They append to the graph of
 * one training step and read like the paper's equations. */
#ifndef TRAIN_METHOD_H
#define TRAIN_METHOD_H

#include "model/head.h"
#include "model/model.h"
#include "options.h"

/* The graph of a training step while it is built. N images, D features; borrowed by bases and methods. */
struct step {
  struct graph *graph;
  struct model *model;
  const struct base *base;
  const struct method *method;
  struct method_options options;
  struct widths projector, trans_backbone, trans_projector;
  const char *device;         /* borrowed */
  int64_t batch;              /* N */
  struct value views;         /* input [2N, 3, H, W]: the first view of every image, then the second */
  struct value loss[N_TERMS]; /* [1] each, unweighted; set by the method; id 0: not computed */
  struct value total;         /* [1] */
};

struct base {
  const char *name, *summary;
  /* The loss between rows i and i+M of `pairs` [2M, D], through a head of its own called `head`. The rows are
   * `calls` consecutive BatchNorm calls. -> [1] */
  struct value (*loss)(struct step *s, const char *head, const struct widths *widths, struct value pairs,
                       int calls);
};

struct method {
  const char *name, *summary;
  void (*build)(struct step *s); /* sets s->loss; leaves out terms whose weight is 0 */
};

/* Resolves --method and --base. E_ARG lists the valid names. */
enum status method_find(const struct method_options *o, const struct method **method,
                        const struct base **base);

static inline bool step_wants(const struct step *s, enum term term) { return s->options.weight[term] > 0; }

/* Rows [first, first + count) of x. */
struct value rows(struct graph *g, struct value x, int64_t first, int64_t count);

/* The halves of x [2N, D] exchanged: (a; b) -> (b; a). */
struct value swap_halves(struct graph *g, struct value x);

#endif
