/* The ledger: one JSON line per consumed step, by which two runs are compared.
 *
 *   {"step": 12, "images": 256, "tickets": "0f3c...", "pixels": "91aa...", "labels": "77d0..."}
 *
 * Each digest is the sum modulo 2^64 over the step's shards of an xxh3-64, in 16 hex digits: of the ticket
 * body; of the shard's pixels, view by view; of its parameters (float32, view by view) and class labels
 * (int32). Pixels and labels are hashed with the shard's first position as seed. Sums, so that the ledgers of
 * ranks that share a batch add up to the ledger of one rank. Nothing in it depends on time,
 * host or workers. */
#ifndef WIRE_LEDGER_H
#define WIRE_LEDGER_H

#include <stdint.h>

#include "base/status.h"

struct ledger;

struct ledger_line {
  int64_t step, images;
  uint64_t tickets, pixels, labels;
};

/* Opens for appending. Lines of steps from first_step on, of an earlier attempt, and a torn last line are cut
 * off atomically first. Errors: E_IO; E_FORMAT (not a ledger; names the line). */
enum status ledger_open(struct ledger **out, const char *path, int64_t first_step);

/* One write for the line: a killed process leaves whole lines. E_IO (a full disk). */
enum status ledger_append(struct ledger *ledger, const struct ledger_line *line);

/* Makes the lines so far survive a power cut. E_IO. */
enum status ledger_sync(struct ledger *ledger);
void ledger_close(struct ledger **ledger); /* accepts NULL; nulls */

#endif
