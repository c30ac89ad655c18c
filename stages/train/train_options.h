/* What `tandem-train` is told on the command line. */
#ifndef TRAIN_TRAIN_OPTIONS_H
#define TRAIN_TRAIN_OPTIONS_H

#include "options.h"
#include "wire/feed.h"

struct train_options {
  struct feed_options feed;
  struct model_options model;
  struct method_options method;
  struct optimiser_options optimiser;
  struct device_options device;
  const char *out, *result, *policy, *normalize, *schedule, *weights, *monitor_split;
  struct cli_list splits;
  int64_t size, epochs, batch, seed, checkpoint_every, keep, images_every, monitor_steps, monitor_images;
  double warmup_epochs, monitor_every; /* epochs; NAN: auto */
  bool resume, tensorboard;
};

extern const struct opt train_opts[];
extern const struct preset train_presets[];

/* Range checks that need nothing but the options. E_ARG. */
enum status train_options_check(const struct train_options *o);

#endif
