/* Progress of one long piece of work: a bar with rate and time left on a terminal, a line every ten seconds
 * elsewhere, and, when --progress FILE was given, a small JSON file that the supervisor reads. One thread. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"

struct progress;

/* `what` (e.g. "train") and `unit` (e.g. "images") are borrowed. `total` <= 0 means unknown. */
enum status progress_open(struct progress **out, const char *what, const char *unit, int64_t total);

/* Says how much is done (absolute, in units). Cheap enough for every step: draws at most ten times a second.
 * `note` is shown behind the bar (e.g. "loss 4.21"); may be NULL. */
void progress_set(struct progress *p, int64_t done, const char *note);

/* The same while nothing gets done, so that readers see what it waits for. */
void progress_refresh(struct progress *p, const char *note);

/* Puts a value under `key` in the JSON file from the next write on; takes over the reference. */
void progress_detail_take(struct progress *p, const char *key, json_t *value);

/* Closes without a last line, for work that failed: its error is the
 * one line to read. Accepts NULL; nulls. */
void progress_abort(struct progress **p);

/* Draws the end state and closes. Accepts NULL; nulls. */
void progress_close(struct progress **p);

#endif
