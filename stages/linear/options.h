/* tandem-linear's command line. */
#ifndef LINEAR_OPTIONS_H
#define LINEAR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "nn/device.h"
#include "wire/feed.h"

struct linear_options {
  struct feed_options feed;
  struct model_options model;
  struct device_options device;
  const char *weights, *out, *result, *train_split, *test_split, *protocol, *metric;
  int64_t size, batch, val_count, split_seed;
  double val_fraction;
};

extern const struct opt linear_opts[];

/* Range checks that need nothing but the options. E_ARG. */
enum status linear_options_check(const struct linear_options *o);

/* "random:SEED": true, and the seed. E_ARG for one that is malformed. */
enum status weights_are_random(const char *weights, bool *random, uint64_t *seed);

/* Images held out of a training split of n: --val-count, or --val-fraction of n rounded, at least one. E_ARG
 * when nothing would be left to train on. */
enum status validation_count(const struct linear_options *o, int64_t n, int64_t *out);

#endif
