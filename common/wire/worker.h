/* The runner of a worker process: sockets, sessions, credits, heartbeats, signals and counters, so that a
 * stage holds only what it does with one shard.
 *
 * A stage that `serves` (decode) takes tickets from the consumer, binds a ROUTER of its own and gives its
 * results to the workers that dial it; one that does not (augment) takes decoded shards from every decode
 * worker the consumer knows and returns its results to the consumer. Neither keeps anything between shards
 * that could change a result. One thread. */
#ifndef WIRE_WORKER_H
#define WIRE_WORKER_H

#include "base/cli.h"
#include "wire/packet.h"
#include "wire/slots.h"
#include "wire/ticket.h"

/* Most bytes of pixels in a decoded shard: what an augment worker accepts from a decode worker. */
#define DECODED_BYTES_MAX ((uint64_t)1 << 30)

struct worker;

/* One shard on its way through a worker. */
struct work {
  struct ticket ticket;
  const struct message *input; /* header it came with: of `ticket`, or of `decoded` */
  const uint8_t *pixels;       /* of `decoded`; NULL otherwise */
  size_t pixels_size;
  struct message output; /* the stage fills the arrays (work_numbers) */
  uint64_t bytes_read;   /* the stage may add what it reads besides, for the counters */

  /* The runner's. */
  struct worker *worker;
  struct packet *packet;
  zmq_msg_t frames[PACKET_FRAMES]; /* of the result, without the header */
  bool has_frame[PACKET_FRAMES];
  struct slots *slots; /* where the pixels may go; NULL: in a frame */
  struct slot *slot;   /* they are there; NULL: in a frame */
  void *arrays[16];
  int n_arrays;
  uint64_t source; /* number of the link it came from; of a lent one, of the session that holds it */
  bool settled;    /* lent: another has delivered it */
  uint64_t held;   /* bytes it counts with against the worker's memory */
  struct work *next;
};

/* count zeroed numbers for a field of work->output. NULL: out of memory (with a message). */
uint64_t *work_numbers(struct work *work, struct numbers *field, uint32_t count);

/* Memory of the result's frame FRAME_PIXELS or FRAME_PARAMS, sent or read from where it is. NULL: out of memory. */
void *work_payload(struct work *work, int frame, size_t size);

/* To be called between images: keeps heartbeats and other shards moving. Nothing to do for a shard outside a worker. */
void work_alive(struct work *work);

struct stage {
  const char *role; /* "decode", "augment" */
  bool serves;
  /* Does one shard. A failure is reported to the consumer with its message and the worker goes on, except for
   * E_MEMORY and E_IO, after which it leaves with that message. */
  enum status (*work)(void *state, struct work *work);
};

struct worker_options {
  const char *connect;   /* the consumer's endpoint */
  struct cli_list serve; /* where a serving stage binds; empty: a private ipc endpoint */
  const char *advertise; /* host under which others reach `serve`; NULL: found out */
  const char *key;       /* key file; NULL: none. TCP goes under CURVE with it, ipc in plain */
  bool shared_memory;    /* pass pixels to processes of this machine in shared memory */
  int64_t memory;        /* MiB of pixels in hand, from which on it asks for no further shard */
  bool insecure;         /* allow a TCP address beyond this machine without a key */
  double connect_wait_s; /* leave when no consumer has let it in for so long; 0: never */
  struct texts datasets; /* fingerprints of what a decode worker can read */
};

/* Flags that fill struct worker_options: those of every worker, and those of one that serves. */
extern const struct opt worker_opts[], serve_opts[];

/* Works until SIGINT or SIGTERM, then OK. Before: stop_on_signals.
 * Errors: E_ARG, E_IO, E_EXISTS, E_MEMORY, E_FORMAT (the key file), E_PEER (connect_wait_s is over). */
enum status worker_run(const struct stage *stage, void *state, const struct worker_options *options);

#endif
