/* TensorBoard's event files: FOLDER/events.out.tfevents.TIME.HOST.tandem, append-only. A run that continues opens
 * another file, whose START event makes TensorBoard drop the steps that are done again; a process that is killed
 * leaves at most one record that is not whole, at the end, and TensorBoard passes over that. One thread. */
#ifndef EVENTS_EVENT_FILE_H
#define EVENTS_EVENT_FILE_H

#include "base/status.h"
#include "event.h"

struct event_file;

/* Starts a new file whose first step is `first_step`. TIME: seconds since 1970, or the next number that is free.
 * E_IO, E_MEMORY. */
enum status event_file_open(struct event_file **out, const char *folder, int64_t first_step);
void event_file_close(struct event_file **file); /* accepts NULL; nulls */

/* Each appends one event, in one flush. E_IO, E_MEMORY. */
enum status event_file_scalars(struct event_file *file, int64_t step, const struct event_scalar *scalars,
                               size_t n);
enum status event_file_image(struct event_file *file, int64_t step, const struct event_image *image);

/* Makes the events so far survive a power cut. E_IO. */
enum status event_file_sync(struct event_file *file);

#endif
