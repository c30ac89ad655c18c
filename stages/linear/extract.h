/* From images to a feature store: the data plane's workers under the evaluation policy, then the frozen
 * network. */
#ifndef LINEAR_EXTRACT_H
#define LINEAR_EXTRACT_H

#include "source.h"
#include "store/dataset.h"
#include "transform/policy.h"

struct extraction {
  const struct linear_options *options;
  const struct weights_source *source;
  const struct policy *policy;
  const struct split *splits[2]; /* training, test; of the dataset in options->feed */
  const char *path, *key;        /* of the feature store */
};

/* Batches of the calibration pass: whole ones of the training split; a split smaller than --batch is one
 * batch. */
int64_t calibration_batch(const struct linear_options *o, int64_t n_train);

/* Computes and publishes the features of both splits, for random weights after a pass over the training split
 * that measures BatchNorm's statistics. Shows its progress. Errors: E_INTERRUPTED, those of feed.h and
 * source.h, E_IO. */
enum status extract(const struct extraction *e);

#endif
