/* The learning rate over a run. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
  double lr; /* the peak */
  bool cosine;
  int64_t epochs, steps_per_epoch;
  double warmup_epochs;
};

/* Warm-up: a straight line from lr / W at step 0 to lr at step W-1, W =
 * warmup_epochs x steps_per_epoch. After it, constant, or lr/2 (1 + cos(pi (e -
 * w) / (epochs - w))), e whole epochs done and w warmup_epochs: constant within
 * an epoch, as the published code has it (methods section 5). */
double schedule_lr(const struct schedule *s, int64_t step);

#endif
