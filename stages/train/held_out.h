/* Labelled images to score features on: a bank of training images and as many of a split that is not trained on,
 * the same number of every class as far as there are any. Which ones depends on the dataset alone, so that runs
 * compare; they come through the data plane under the evaluation policy and stay in memory. */
#ifndef TRAIN_HELD_OUT_H
#define TRAIN_HELD_OUT_H

#include "store/dataset.h"
#include "wire/feed.h"

struct held_out {
  int64_t n_bank, n_held; /* 0: the dataset has no such images */
  int32_t classes;
  char why_not[192]; /* then, as a sentence's end */
  int64_t *chosen;   /* [n_bank + n_held] positions in the joined splits: those trained on, then the other */
  uint8_t *pixels;   /* [n_bank + n_held, size, size, 3]; NULL: not fetched */
  int32_t *labels;   /* [n_bank + n_held] */
  const char **splits; /* [n_splits] */
  size_t n_splits;
};

/* Chooses at most `images` for the bank and as many held-out ones. Borrows the names of the splits. E_MEMORY. */
enum status held_out_choose(struct held_out *out, const struct dataset *dataset, const char *const *trained,
                            size_t n_trained, const char *split, int64_t images);

/* Waits for the pixels, which `progress` shows. Makes `feed` listen where this did (`place`). Errors: those of feed.h. */
enum status held_out_fetch(struct held_out *h, int32_t size, struct feed_options *feed,
                           struct feed_place *place, struct progress *progress);

void held_out_free(struct held_out *h);

#endif
