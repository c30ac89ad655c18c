/* One training step as a graph: views in, loss terms out, with its networks; and its optimiser. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "method.h"
#include "nn/optimiser.h"
#include "store/safetensors.h"

struct step_config {
  const struct model_options *model; /* resolved */
  const struct method_options *method;
  int64_t batch, height, width; /* images per step; the views' sides in pixels */
  const char *device;
  int threads;
  int64_t third_height, third_width; /* the third view's sides in pixels; 0: there is none */
  bool plan_only;                    /* to look at, not to run: no memory is taken */
  enum precision precision;
  enum plans plans;
};

/* Builds and plans the graph for training; parameters are not set yet. Strings of the options are borrowed.
 * Errors: E_ARG, and whatever graph_open and graph_plan return. */
enum status step_open(struct step **out, const struct step_config *config);
void step_close(struct step **step); /* accepts NULL; nulls */

struct losses {
  double total, term[N_TERMS]; /* terms unweighted; 0 for those left out */
};

/* Forward pass on the views that are in place. E_NUMERIC: a loss is not finite (names the terms). */
enum status step_forward(struct step *s, struct losses *losses);

/* The optimiser of the step's parameters. E_ARG, E_MEMORY, E_DEVICE. */
enum status step_optimiser(struct updater **out, struct step *s, const struct optimiser_options *options);

/* Where in its run a step stands. */
struct pace {
  double lr, peak_lr; /* of the schedule, and before it */
  int64_t epoch, epochs;
};

/* After graph_backward: a step of the optimiser, and the target networks a little further. */
enum status step_move(struct step *s, struct updater *updater, const struct pace *pace);

/* Both: the backward pass and what follows it. */
enum status step_update(struct step *s, struct updater *updater, const struct pace *pace);

/* All of it on the views that are in place, as graph_step: a device may be at work on it still. */
enum status step_run(struct step *s, struct updater *updater, const struct pace *pace);

/* The losses of the oldest step_run whose were not taken yet; waits for it. At most graph_lag steps may begin before
 * they are. E_NUMERIC as step_forward. */
enum status step_losses(struct step *s, struct losses *losses);

/* The bytes that step_move moves, with an optimiser that keeps n_states numbers per parameter: every one of them
 * once. 0 before the graph is planned. */
double step_update_bytes(const struct step *s, size_t n_states);

/* What the weights hold in memory on this device: float64 on ref. */
enum dtype step_dtype(const struct step *s);

#endif
