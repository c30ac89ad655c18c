/* metrics.jsonl: one JSON object per step, without times, so that equal runs
 * write equal files. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include <jansson.h>

#include "step.h"

struct metrics;

/* Opens the file for appending, cut back to the lines of steps before
 * `first_step`. E_IO. */
enum status metrics_open(struct metrics **out, const char *path, int64_t first_step);
void metrics_close(struct metrics **metrics); /* accepts NULL; nulls */

/* Appends a step's line. Terms that are left out are not written. E_IO. */
enum status metrics_add(struct metrics *m, const struct step *s, int64_t step, int64_t epoch, double lr,
                        const struct losses *losses);

/* Syncs the file, so that it is not behind the checkpoint that follows. E_IO. */
enum status metrics_sync(struct metrics *m);

/* The mean of each loss over the lines of `epoch`, read back from the file, as
 * {"total": ..., "inv": ...}. *mean: new reference. E_IO, E_NOT_FOUND (no such
 * lines). */
enum status metrics_epoch_mean(const char *path, int64_t epoch, json_t **mean);

#endif
