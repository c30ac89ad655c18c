#include "nn/ema/ema.h"

#include <stdlib.h>

#include "nn/engine.h"

struct pair {
  const struct tensor *average, *of;
};

struct ema {
  struct param_block params; /* for its backend and device */
  const struct kernel *kernel;
  struct pair *pairs;
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
  struct pair *pairs = calloc(n ? n : 1, sizeof *pairs);
  if (!e || !pairs) {
    free(e);
    free(pairs);
    return fail(E_MEMORY, "out of memory for the target networks");
  }
  *e = (struct ema){params, kernel, pairs, 0};
  for (size_t i = 0; i < n; i++) {
    const struct tensor *t = graph_tensor_of(g, tensors[i].value), *of = t->shadow_of;
    if (of && of->role == TENSOR_PARAM && of->grad) e->pairs[e->n++] = (struct pair){t, of};
  }
  *out = e;
  return OK;
}

void ema_close(struct ema **e) {
  if (!*e) return;
  free((*e)->pairs);
  free(*e);
  *e = NULL;
}

enum status ema_step(struct ema *e, double m) {
  enum status st = m >= 0 && m <= 1 ? OK : fail(E_ARG, "a momentum of %g is not from 0 to 1", m);
  if (st == OK) e->params.backend->enter(e->params.device);
  for (size_t i = 0; i < e->n && st == OK; i++) {
    const struct pair *p = &e->pairs[i];
    st = e->kernel->update(e->params.device, p->average->data, p->of->data, NULL, p->of->bytes, &m);
  }
  return st;
}
