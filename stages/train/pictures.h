/* What training is fed with, to look at: TensorBoard's image "pairs", a sheet of the first pairs of a batch. */
#ifndef TRAIN_PICTURES_H
#define TRAIN_PICTURES_H

#include "run.h"
#include "wire/feed.h"

/* Whether the batch of this step is to be shown (--images-every). */
bool pictures_due(const struct run *run, int64_t step);

/* Draws the views that came, beside the dataset's images and what was drawn for them, and appends the picture to
 * the events. Errors: as dataset_read, sheet_add and event_file_image. */
enum status pictures_add(const struct run *run, const struct feed_batch *batch);

#endif
