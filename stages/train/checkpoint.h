/* Checkpoints: all that is needed to continue a run as if it had never stopped.
 *
 * checkpoint-STEP.safetensors holds parameters and buffers under their names,
 * the optimiser's state under its own (momentum.NAME), and the BatchNorm call counts, in the device's own precision,
 * with the settings, the step and a digest of the contents as metadata. It is
 * written atomically; a damaged one is passed over when resuming. Everything
 * random is a function of (seed, step), so no generator's state belongs here. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include <jansson.h>

#include "step.h"
#include "store/safetensors.h"

/* Writes the state after `step` steps, then deletes all but the `keep` newest
 * checkpoints of `folder` up to `step`. E_IO, E_MEMORY; E_NUMERIC, and nothing
 * is written: a value is not finite (names the tensor). */
enum status checkpoint_save(const char *folder, int64_t step, int64_t keep, const struct step *s,
                            const struct updater *updater, const json_t *settings);

/* The newest intact checkpoint of `folder` and its step; damaged ones are
 * logged and passed over. E_NOT_FOUND: there is none. */
enum status checkpoint_find(struct safetensors **out, const char *folder, int64_t *step);

/* E_ARG if the checkpoint was made with other settings (names the first that
 * differs). Other threads or another device only warn: the run goes on, but not
 * to the same bytes. */
enum status checkpoint_check_settings(const struct safetensors *file, const json_t *settings);

/* Puts the state back. E_FORMAT (names what does not fit). */
enum status checkpoint_restore(const struct safetensors *file, struct step *s, struct updater *updater);

/* Deletes half-written files, checkpoints and final weights, which a killed run
 * can leave. */
enum status checkpoint_remove_partial(const char *folder);

#endif
