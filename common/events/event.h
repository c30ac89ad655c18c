/* TensorBoard's Event messages, as protocol buffers. Each function appends one Event to `out`, which starts empty.
 * Field numbers are those of TensorBoard's event.proto and summary.proto. Pure functions. */
#ifndef EVENTS_EVENT_H
#define EVENTS_EVENT_H

#include "protobuf.h"

/* The first record of every file. wall_time: seconds since 1970. */
void event_version(struct pb *out, double wall_time);

/* A run starts or continues at `step`: what files before this one have of that step and later ones is void. */
void event_start(struct pb *out, double wall_time, int64_t step);

struct event_scalar {
  const char *tag;
  double value; /* stored as float32 */
};
void event_scalars(struct pb *out, double wall_time, int64_t step, const struct event_scalar *scalars,
                   size_t n);

struct event_image {
  const char *tag;
  int32_t width, height; /* pixels */
  const uint8_t *png;    /* RGB */
  size_t size;           /* bytes */
};
void event_image(struct pb *out, double wall_time, int64_t step, const struct event_image *image);

#endif
