/* What a worker has done since it started, as its `beat` tells it to whoever is upstream. */
#ifndef WIRE_COUNTERS_H
#define WIRE_COUNTERS_H

#include <stdint.h>

#include "base/status.h"

/* What went wrong, by kind: the names are counter_error_names and those of the fields in `beat`. */
enum worker_error {
  ERROR_DAMAGED, /* shards not made: a sample or a message does not fit its description */
  ERROR_MISSING, /* shards not made: no such dataset or sample here */
  ERROR_OTHER,   /* shards not made for another reason */
  ERROR_UNSENT,  /* results that could not be sent */
  ERROR_LOST,    /* upstreams that fell silent */
  ERROR_DROPPED, /* messages dropped */
  ERROR_KINDS
};

struct counters {
  uint64_t shards, images;      /* made */
  uint64_t bytes_in, bytes_out; /* read or received, and made; payloads alone */
  uint64_t busy_ms, wait_ms;    /* time spent making shards, and otherwise */
  uint64_t errors[ERROR_KINDS];
};

extern const char *const counter_error_names[ERROR_KINDS];

/* The kind under which a shard that could not be made counts. */
enum worker_error counter_error_of(enum status status);

#endif
