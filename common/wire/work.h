/* Shards on their way through a worker: made from a message, queued, freed. For worker.c, and for programs that do one
 * shard without a worker (`worker` NULL). */
#ifndef WIRE_WORK_H
#define WIRE_WORK_H

#include "wire/worker.h"

struct work_queue {
  struct work *head, **tail;
  int n;
};

void work_push(struct work_queue *queue, struct work *work); /* to the end */
struct work *work_pop(struct work_queue *queue);             /* NULL: empty */
void work_queue_clear(struct work_queue *queue);

/* Whether this is the shard with exactly this ticket body. */
bool work_has(const struct work *work, zmq_msg_t *body);

uint64_t work_queue_held(const struct work_queue *queue); /* bytes, together */

/* The shard with exactly this ticket body; NULL: not in the queue. */
struct work *work_find(const struct work_queue *queue, zmq_msg_t *body);

/* To the end of the queue, or to its front when it has been handed out before: the run may be waiting for it. */
void work_enqueue(struct work_queue *queue, struct work *work);

/* Takes an item out of the queue. */
void work_unlink(struct work_queue *queue, struct work *work);

/* Takes the packet (`ticket` or `decoded`) and copies its body to the result. NULL: dropped and counted,
 * because the body is not a ticket; the packet is still the caller's then. */
struct work *work_open(struct worker *worker, struct drops *drops, struct packet **packet, uint64_t source);
void work_free(struct work *work); /* accepts NULL */

/* Back to its ticket: the result's memory is freed. */
void work_strip(struct work *work);

/* The header and the n frames after it of the result, to be sent: shared copies, so that it is still here if the peer turns
 * out to be gone; used up by sending. `shares`: the receiver can read this process's memory. E_MEMORY: nothing to send. */
enum status work_result(struct work *work, bool shares, struct message *head, zmq_msg_t *frames, int n);
size_t work_bytes(const struct work *work); /* of its payloads */

/* Whether it has its result. */
bool work_is_done(const struct work *work);

/* The first item of a holder, taken out of the queue; NULL: none. */
struct work *work_take(struct work_queue *queue, uint64_t source);

/* Frees a holder's items of this step and shard; those of others are not made again when their holder leaves. */
void work_drop(struct work_queue *queue, uint64_t source, uint64_t step, uint64_t shard);

#endif
