#include "nn/ema/ema.h"

#include <stdlib.h>

#include "nn/engine.h"

struct ema {
  struct param_block params; /* for its backend and device */
  const struct kernel *kernel;
  struct update *updates; /* of the averages, with what they follow as gradient */
  size_t n;
};

enum status ema_open(struct ema **out, struct graph *g) {
  *out = NULL;
  struct param_block params = graph_param_block(g);
  const struct kernel *kernel = kernel_find("ema", params.backend->name);
  if (!kernel) return fail(E_DEVICE, "no %s kernel for ema", params.backend->name);
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(g, &tensors);
  struct ema *e = calloc(1, sizeof *e);
  struct update *updates = calloc(n ? n : 1, sizeof *updates);
  if (!e || !updates) {
    free(e);
    free(updates);
    return fail(E_MEMORY, "out of memory for the target networks");
  }
  *e = (struct ema){params, kernel, updates, 0};
  for (size_t i = 0; i < n; i++) {
    const struct tensor *t = graph_tensor_of(g, tensors[i].value), *of = t->shadow_of;
    if (of && of->role == TENSOR_PARAM && of->grad)
      e->updates[e->n++] = (struct update){t->data, of->data, {0}, of->bytes, {0}};
  }
  *out = e;
  return OK;
}

void ema_close(struct ema **e) {
  if (!*e) return;
  free((*e)->updates);
  free(*e);
  *e = NULL;
}

enum status ema_step(struct ema *e, double m) {
  enum status st = m >= 0 && m <= 1 ? OK : fail(E_ARG, "a momentum of %g is not from 0 to 1", m);
  if (st != OK) return st;
  for (size_t i = 0; i < e->n; i++) e->updates[i].arg[0] = m;
  e->params.backend->enter(e->params.device);
  return kernel_update(e->kernel, e->params.device, e->updates, e->n);
}
