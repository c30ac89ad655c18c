/* metrics.jsonl: one JSON object per step, without times, so that equal runs
 * write equal files; and the same numbers as TensorBoard's events. Whatever a run measures while it goes on comes through metrics_add. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include <jansson.h>

#include "events/event_file.h"
#include "step.h"

struct metrics;

/* Opens the file for appending, cut back to the lines of steps before
 * `first_step`. events: borrowed; NULL: none. E_IO. */
enum status metrics_open(struct metrics **out, const char *path, int64_t first_step,
                         struct event_file *events);
void metrics_close(struct metrics **metrics); /* accepts NULL; nulls */

/* What was measured at one moment. Names are borrowed, and keys of the line. */
enum { MAX_SCALARS = 16 };
struct scalar {
  const char *name;
  double value;
};
struct scalars {
  size_t n;
  struct scalar at[MAX_SCALARS];
};

void scalars_put(struct scalars *s, const char *name, double value);

/* The learning rate and the losses of a step; terms that are left out are not among them. */
void scalars_put_losses(struct scalars *out, const struct step *s, double lr, const struct losses *losses);

/* Appends a line and an event; steps never go back from one line to the next. An event's tags are lr and epoch,
 * loss/NAME for what scalars_put_losses puts, and monitor/NAME for the rest. E_IO, E_MEMORY. */
enum status metrics_add(struct metrics *m, int64_t step, int64_t epoch, const struct scalars *measured);

/* Syncs both files, so that none is behind the checkpoint that follows. E_IO. */
enum status metrics_sync(struct metrics *m);

/* The last line that has this key. *line: new reference. E_IO, E_NOT_FOUND (no such line). */
enum status metrics_last(const struct metrics *m, const char *key, json_t **line);

/* The mean of each loss over the lines of `epoch`, read back from the file, as
 * {"total": ..., "inv": ...}. *mean: new reference. E_IO, E_NOT_FOUND (no such
 * lines). */
enum status metrics_epoch_mean(const char *path, int64_t epoch, json_t **mean);

#endif
