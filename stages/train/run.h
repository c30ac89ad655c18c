/* One training run: everything that is open while it goes on. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include <limits.h>

#include "metrics.h"
#include "schedule.h"
#include "step.h"
#include "store/dataset.h"
#include "train_options.h"
#include "transform/policy.h"

enum { N_VIEWS = 2, THIRD = 2 }; /* aligned views; the index of one that some methods take beside them */

struct normalization {
  double mean[3], std[3];
};

struct run {
  struct train_options *o;
  struct feed_options feed_options; /* o->feed, listening where an earlier feed of the run did */
  struct policy *policy;
  struct dataset *dataset; /* for its numbers; the pixels come from the feed */
  const struct dataset_info *data;
  const char **splits;
  size_t n_splits;
  int64_t n_images, steps_per_epoch, first_step, last_step;
  int32_t size; /* pixels, side of the views */
  struct normalization normalization;
  struct safetensors *weights; /* --weights */
  json_t *settings;            /* all that decides the final weights */
  struct schedule schedule;
  struct step *step;
  struct updater *updater;
  struct feed *feed;
  struct event_file *events; /* NULL: --no-tensorboard */
  struct metrics *metrics;
  struct watch *watch;
  int64_t reported;           /* steps whose losses were taken and written down */
  uint8_t *views;             /* [2N, size, size, 3] */
  uint8_t *third;             /* [N, third, third, 3]; NULL: the method has no use for it */
  int32_t third_size;         /* pixels, side of the third view; 0: the policy has none */
  struct label_map labels[2]; /* of the views, where the method has use for them */
  float *differences;         /* [2N, LABEL_COLUMNS]; NULL: it has not */
  char folder[PATH_MAX - 64];
  int lock;                 /* on the folder: two trainers in one would spoil each other's files; -1: none */
  double compute_s, wait_s; /* spent in the engine, and waiting for workers */
};

/* Checks the options and fills in what they leave open; opens --weights and the policy; sets size and
 * third_size. E_ARG, and what safetensors_open and policy_load return. */
enum status run_resolve(struct run *run);

/* Builds the training step of the resolved options; sets labels. plan_only: to look at, not to run (struct
 * step_config). E_ARG (also: the policy lacks what the method takes), and what step_open returns. */
enum status run_open_step(struct run *run, bool plan_only);

/* The settings as JSON: no paths, times, host or worker counts. *out: new
 * reference. E_MEMORY, E_IO (--weights). */
enum status settings_make(json_t **out, const struct run *run);

/* Writes final.safetensors, backbone.safetensors and the result file. E_IO,
 * E_MEMORY. */
enum status outputs_write(const struct run *run, double elapsed_s);

#endif
