/* A training step on random views that lie on the device, to be measured: what it takes, and what it computes
 * and moves. */
#ifndef TRAIN_TRIAL_H
#define TRAIN_TRIAL_H

#include "nn/cost.h"
#include "nn/roofline.h"
#include "step.h"

struct trial {
  struct step *step;
  struct updater *updater;
};

/* Parameters, views, third views and label differences are drawn from a fixed seed. Errors: as step_open. */
enum status trial_open(struct trial *t, const struct step_config *config,
                       const struct optimiser_options *optimiser);
void trial_close(struct trial *t); /* accepts a half-opened one */

struct trial_times {
  double forward_backward_s, update_s;
};

/* One step, until the device has finished. times: of its two parts, each until the device has finished it; NULL: the
 * step in one, as training has it. E_NUMERIC: the loss is not finite; E_DEVICE. */
enum status trial_step(struct trial *t, double lr, struct trial_times *times);

/* What a step computes, the bytes that it moves, and the seconds that this takes at least: of every node, what is
 * longer of computing and moving; of the update, moving. */
struct trial_work {
  struct flops flops;
  double forward_bytes, backward_bytes, update_bytes;
  struct trial_times least;
};
struct trial_work trial_work(const struct trial *t, const struct roofline *r);

#endif
