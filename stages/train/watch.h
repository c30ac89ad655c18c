/* What a run watches while it trains, beside its losses, to be told early when it goes wrong (docs/training.md):
 * how the embeddings spread, every few steps, and every few epochs what the features are worth. Both only read:
 * weights, order of images and ledger are those of a run without. */
#ifndef TRAIN_WATCH_H
#define TRAIN_WATCH_H

#include "base/progress.h"
#include "run.h"

struct watch;

/* Chooses the images to score on and waits for them, which `progress` shows, where evaluations are due; says in the log what there will be.
 * After the step, the metrics and a resumed run's state are there, before the feed, which listens where this did.
 * Errors: those of feed.h, E_MEMORY, E_IO. */
enum status watch_open(struct watch **out, struct run *run, struct progress *progress);
void watch_close(struct watch **watch); /* gives up what is going on; accepts NULL; nulls */

/* Whether something is done after step `step` that reads the network: it comes before the next step begins. */
bool watch_due(const struct watch *w, int64_t step);

/* After step `step` has moved the weights: adds to the step's line what is due. E_DEVICE. */
enum status watch_step(struct watch *w, int64_t step, struct scalars *measured);

/* After the line of that step: writes the line of an evaluation that is done, and begins one that is due; one that
 * fails is said in the log and left out. E_IO, E_MEMORY. */
enum status watch_advance(struct watch *w, int64_t step);

/* After the last step: waits until the final weights are scored. E_INTERRUPTED (a signal asked to stop), E_IO,
 * E_MEMORY. */
enum status watch_finish(struct watch *w);

/* Appends the latest values to the note, and puts them into the progress file. */
void watch_show(const struct watch *w, struct progress *p, char *note, size_t size);

/* Evaluations that were left out because the one before was not done. */
int64_t watch_skipped(const struct watch *w);

#endif
