/* The decode workers that an augment worker dials: one link each, kept in step with the consumer's list. */
#ifndef WIRE_UPSTREAMS_H
#define WIRE_UPSTREAMS_H

#include "wire/link.h"

enum { UPSTREAMS_MAX = 240 };

struct upstream {
  struct link link;
  uint64_t number; /* never used twice */
};

struct upstreams {
  struct upstream *at[UPSTREAMS_MAX];
  int n;
  uint64_t opened;
  bool reads_memory; /* shards may stay in the decode workers' memory */
};

/* How to dial. */
struct upstreams_dial {
  void *context;
  const char *consumer;        /* endpoint of the consumer, as this process dials it */
  const struct keys *keys;     /* this worker's; NULL: none */
  const struct message *hello; /* borrowed by the links */
  struct drops *drops;         /* borrowed by the links */
};

/* Dials what is new in the consumer's list (`decoders`) and leaves what is no longer in it. A worker with keys does
 * not dial TCP endpoints without. An endpoint that cannot be dialled is logged and left out. */
void upstreams_follow(struct upstreams *upstreams, const struct upstreams_dial *dial,
                      const struct message *list);
void upstreams_close(struct upstreams *upstreams);

#endif
