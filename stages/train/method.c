#include "method.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/gather_rows/gather_rows.h"

extern const struct method *const method_registry[];
extern const struct base *const base_registry[];

static const struct base *base_named(const char *name) {
  for (const struct base *const *b = base_registry; *b; b++)
    if (strcmp((*b)->name, name) == 0) return *b;
  return NULL;
}

static const struct method *method_named(const char *name) {
  for (const struct method *const *m = method_registry; *m; m++)
    if (strcmp((*m)->name, name) == 0) return *m;
  return NULL;
}

static void append(char *text, size_t size, const char *word) {
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s%s", used ? ", " : "", word);
}

static enum status unknown_name(const char *flag, const char *name, bool methods_too) {
  char names[256] = "";
  if (methods_too)
    for (const struct method *const *m = method_registry; *m; m++) append(names, sizeof names, (*m)->name);
  for (const struct base *const *b = base_registry; *b; b++) append(names, sizeof names, (*b)->name);
  return fail(E_ARG, "--%s: there is no '%s'; known: %s", flag, name, names);
}

enum status method_find(const struct method_options *o, const struct method **method,
                        const struct base **base) {
  *method = method_named(o->method);
  *base = base_named(o->base ? o->base : "simclr");
  if (!*base) return unknown_name("base", o->base, false);
  if (*method) return OK;
  const struct base *alone = base_named(o->method); /* "--method simclr": that base with method none */
  if (!alone) return unknown_name("method", o->method, true);
  if (o->base && alone != *base)
    return fail(E_ARG, "--method %s is a base loss and contradicts --base %s", o->method, o->base);
  *base = alone;
  *method = method_named("none");
  return OK;
}

/* Row r of the result is row (r + shift) mod n_rows, for `count` rows. */
static struct value rotated_rows(struct graph *g, struct value x, int64_t shift, int64_t count) {
  int64_t n_rows = graph_shape(g, x).dim[0];
  int32_t *index = malloc((size_t)(count > 0 ? count : 1) * sizeof *index);
  if (!index || n_rows < 1) {
    free(index);
    if (n_rows >= 1) graph_fail(g, E_MEMORY, "out of memory");
    return (struct value){0};
  }
  for (int64_t r = 0; r < count; r++) index[r] = (int32_t)((r + shift) % n_rows);
  struct value y = gather_rows(g, x, index, count);
  free(index);
  return y;
}

struct value rows(struct graph *g, struct value x, int64_t first, int64_t count) {
  return rotated_rows(g, x, first, count);
}

struct value swap_halves(struct graph *g, struct value x) {
  int64_t n = graph_shape(g, x).dim[0];
  return rotated_rows(g, x, n / 2, n);
}
