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

/* Dials what is new in the list and leaves what is no longer in it. `hello` and `drops` are borrowed by the
 * links. An endpoint that cannot be dialled is logged and left out. */
void upstreams_follow(struct upstreams *upstreams, void *context, const struct texts *endpoints,
                      const struct message *hello, struct drops *drops);
void upstreams_close(struct upstreams *upstreams);

#endif
