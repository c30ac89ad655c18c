/* What moves the parameters that the loss reaches: one of optimisers/, found by name.
 *
 * An optimiser is a file optimisers/NAME.c (its rule: state, flags, numbers) with a kernel per backend beside
 * it, optimisers/NAME_ref.c and so on. This frame owns the state, gives every parameter its learning rate and
 * its decay, and hands the kernels runs of memory: neighbours that are treated alike are updated together. The
 * state and the number of steps taken are all that a checkpoint needs. One thread drives it. */
#ifndef NN_OPTIMISER_H
#define NN_OPTIMISER_H

#include <stdalign.h>

#include "base/cli.h"
#include "nn/graph.h"

/* --- Rules ---------------------------------------------------------------------------------------------- */

/* What a kernel's update gets as `arg`; from ARG_OWN on what the rule says. */
enum { ARG_RATE, ARG_DECAY, ARG_VECTOR /* 1: a parameter of one dimension */, ARG_OWN, N_ARGS = 10 };

enum { OPTIMISER_OWN_SIZE = 64, OPTIMISER_MAX_STATES = 4, MAX_OPTIMISERS = 16 };
struct optimiser_own {
  alignas(8) unsigned char bytes[OPTIMISER_OWN_SIZE];
};

struct optimiser_config;

struct optimiser {
  const char *name, *summary;
  const struct opt *opts; /* flags of its own, of a struct of at most OPTIMISER_OWN_SIZE bytes; NULL: none */
  enum status (*check)(const void *own);   /* whether their values are in range; NULL: any are. E_ARG */
  const char *state[OPTIMISER_MAX_STATES]; /* names of the numbers it keeps per parameter; ends with NULL */
  bool whole_tensors;                      /* the kernel takes one parameter at a time */
  bool spares_vectors;                     /* no decay of parameters of one dimension, whatever is asked */
  /* What the learning rate of parameters of one dimension is multiplied with; takes `whole_tensors`. NULL: 1 */
  double (*vector_rate)(const void *own);
  /* Fills arg[ARG_OWN...] for step t, from 1. */
  void (*arguments)(double *arg, const struct optimiser_config *c, int64_t t);
};

/* By name. E_ARG lists the valid ones. */
enum status optimiser_find(const struct optimiser **out, const char *name);

/* Places in the registry, and the flags that its entries declare (opt.tables of cli.h). */
size_t optimiser_place(const struct optimiser *optimiser);
const struct opt *optimiser_opts_at(size_t i);
const char *optimiser_name_at(size_t i); /* NULL behind the last */

/* --- Updates -------------------------------------------------------------------------------------------- */

struct updater;

struct optimiser_config {
  double momentum, weight_decay;
  bool decay_matrices_only; /* no decay of parameters with one dimension: BatchNorm's, biases */
  int (*rate_of)(
      const char *name);    /* which of updater_step's rates a parameter follows; NULL: all the first */
  const char *name;         /* NULL: sgd */
  struct optimiser_own own; /* values of the flags that it declares */
};

/* After graph_plan; the graph must outlive it. Errors: E_ARG (unknown name), E_MEMORY, E_DEVICE (no kernel for
 * the backend). */
enum status updater_open(struct updater **out, struct graph *g, const struct optimiser_config *config);
void updater_close(struct updater **u); /* accepts a pointer to NULL; nulls */

/* One update with the gradients of the last graph_backward, at the given learning rates. */
enum status updater_step(struct updater *u, const double *rates);

/* Whether the loss reaches the parameter, so that there is state for it. */
bool updater_holds(const struct updater *u, struct value param);

/* The name of state k, as a checkpoint's prefix; NULL behind the last. */
const char *updater_state_name(const struct updater *u, size_t k);

/* State k of a parameter in its logical order. Errors: E_ARG (no such parameter), E_SHAPE (count). */
enum status updater_read_f32(const struct updater *u, size_t k, struct value param, float *v, int64_t count);
enum status updater_write_f32(struct updater *u, size_t k, struct value param, const float *v, int64_t count);
enum status updater_read_f64(const struct updater *u, size_t k, struct value param, double *v, int64_t count);
enum status updater_write_f64(struct updater *u, size_t k, struct value param, const double *v,
                              int64_t count);

/* As if that many steps had been taken: with the state written back, the next one is the one that would have
 * followed. */
void updater_set_steps(struct updater *u, int64_t steps);

#endif
