/* Scores the backbone's features while training goes on: a copy of its weights, a graph of its own, a thread of
 * the lowest priority. One thread calls evaluator_*; one evaluation at a time. */
#ifndef TRAIN_EVALUATOR_H
#define TRAIN_EVALUATOR_H

#include "held_out.h"
#include "model/network.h"
#include "scores.h"

struct evaluator;

/* The config's strings and `data`, fetched, are borrowed. E_MEMORY. */
enum status evaluator_open(struct evaluator **out, const struct network_config *config,
                           const struct held_out *data);
void evaluator_close(struct evaluator **evaluator); /* gives up what is going on; accepts NULL; nulls */

/* Whether an evaluation has begun whose result nobody has taken. */
bool evaluator_is_busy(const struct evaluator *e);

/* Copies the backbone's weights out of `graph` and begins; not while it is busy. E_MEMORY, E_DEVICE, E_IO. */
enum status evaluator_begin(struct evaluator *e, struct graph *graph, int64_t epoch);

/* The result of what was begun, with the epoch it was given. E_AGAIN: not done yet; otherwise it is free again.
 * Errors: E_NUMERIC (features not finite), E_MEMORY, E_DEVICE. */
enum status evaluator_take(struct evaluator *e, struct scores *scores, int64_t *epoch);

#endif
