/* Target networks: exponential moving averages of trained parameters (BYOL's xi).
 *
 *   xi <- m xi + (1 - m) theta      for every shadow (graph_shadow) of a parameter that the loss reaches
 *
 * Shadows of buffers, BatchNorm's running statistics, are left alone: they evolve by themselves. */
#ifndef NN_EMA_H
#define NN_EMA_H

#include "nn/graph.h"

struct ema;

/* After graph_plan; the graph must outlive it. Errors: E_MEMORY, E_DEVICE (no kernel for the backend). */
enum status ema_open(struct ema **out, struct graph *g);
void ema_close(struct ema **e); /* accepts NULL; nulls */

/* One update, after the optimiser's. m in [0, 1]; 0 copies. */
enum status ema_step(struct ema *e, double m);

#endif
