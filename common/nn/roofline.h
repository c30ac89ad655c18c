/* How fast a device computes and moves numbers, measured through the engine itself, and the time that work
 * needs at least at these rates (the roofline model). */
#ifndef NN_ROOFLINE_H
#define NN_ROOFLINE_H

#include "nn/graph.h"

struct roofline {
  double flops, bytes; /* per second */
};

/* flops: of a convolution; bytes: of adding two tensors that no cache holds. The best of a few runs;
 * a second or two. `mode` and plan_only of the configuration do not count. Errors: as graph_open, E_MEMORY. */
enum status roofline_measure(struct roofline *out, const struct graph_config *config);

/* Seconds for so many operations on so many bytes: what takes longer hides the other. */
double roofline_seconds(const struct roofline *r, double flops, double bytes);

#endif
