/* Where a worker's results can be fetched: the endpoints it binds, and the names under which others dial them. */
#ifndef WIRE_SERVING_H
#define WIRE_SERVING_H

#include "wire/listen.h"
#include "wire/worker.h"

struct serving {
  struct listening listening;
  char names[SERVE_MAX][ENDPOINT_MAX + 1];
  struct text endpoints[SERVE_MAX]; /* `names`, for `hello` */
  char key[KEY_HEX + 1];            /* of the TCP endpoints; empty: plain, or none */
};

/* `keys`: NULL without. Errors as listen_open. */
enum status serving_open(struct serving *out, void *context, const struct worker_options *options,
                         const struct keys *keys);
void serving_close(struct serving *serving); /* after the server that took its socket over */

#endif
