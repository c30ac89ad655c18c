#include "method.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/backbone.h"
#include "nn/columns/columns.h"
#include "nn/concat/concat.h"
#include "nn/gather_rows/gather_rows.h"
#include "nn/weighted_sum/weighted_sum.h"

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

/* --- Flags ---------------------------------------------------------------------------------------------- */

const char *base_name_at(size_t i) { return base_registry[i] ? base_registry[i]->name : NULL; }

const char *method_name_at(size_t i) {
  size_t n = 0;
  while (method_registry[n]) n++;
  return i < n ? method_registry[i]->name : base_name_at(i - n);
}

static const struct opt *opts_or_none(const struct opt *opts) { return opts ? opts : opt_none; }

const struct opt *base_opts_at(size_t i) {
  return i < MAX_BASES && base_registry[i] ? opts_or_none(base_registry[i]->opts) : NULL;
}

const struct opt *method_opts_at(size_t i) {
  return i < MAX_METHODS && method_registry[i] ? opts_or_none(method_registry[i]->opts) : NULL;
}

size_t base_place(const struct base *base) {
  size_t i = 0;
  while (base_registry[i] != base) i++;
  return i;
}

size_t method_place(const struct method *method) {
  size_t i = 0;
  while (method_registry[i] != method) i++;
  return i;
}

const void *base_own(const struct step *s) { return s->options.base_own[base_place(s->base)].bytes; }
const void *method_own(const struct step *s) { return s->options.method_own[method_place(s->method)].bytes; }

static void append(char *text, size_t size, const char *word) {
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s%s", used ? ", " : "", word);
}

static enum status unknown_name(const char *flag, const char *name, const char *(*name_at)(size_t)) {
  char names[256] = "";
  for (size_t i = 0; name_at(i); i++) append(names, sizeof names, name_at(i));
  return fail(E_ARG, "--%s: there is no '%s'; known: %s", flag, name, names);
}

enum status method_find(const struct method_options *o, const struct method **method,
                        const struct base **base) {
  *method = method_named(o->method);
  *base = base_named(o->base ? o->base : "simclr");
  if (!*base) return unknown_name("base", o->base, base_name_at);
  if (*method) return OK;
  const struct base *alone = base_named(o->method); /* "--method simclr": that base with method none */
  if (!alone) return unknown_name("method", o->method, method_name_at);
  if (o->base && alone != *base)
    return fail(E_ARG, "--method %s is a base loss and contradicts --base %s", o->method, o->base);
  *base = alone;
  *method = method_named("none");
  return OK;
}

static bool is_auto(const char *text) { return !text || strcmp(text, "auto") == 0; }

enum status method_resolve(struct method_options *o) {
  const struct method *m;
  const struct base *b;
  enum status st = method_find(o, &m, &b);
  if (st != OK) return st;
  o->method = m->name;
  o->base = b->name;
  if (is_auto(o->projector)) o->projector = b->projector;
  if (is_auto(o->trans_projector)) o->trans_projector = b->trans_projector;
  if (!is_auto(o->predictor) && !b->predictor)
    return fail(E_ARG, "--predictor: base %s has no predictor", b->name);
  if (is_auto(o->predictor)) o->predictor = b->predictor;
  if (!o->labels) o->labels = "crop,color";
  for (int i = 0; i < N_TERMS; i++)
    if (isnan(o->weight[i])) o->weight[i] = m->weight[i];
  return OK;
}

/* --- What methods are made of --------------------------------------------------------------------------- */

struct value features(struct step *s) {
  return s->y = backbone(s->model, s->views, 2);
}

struct value target_features(struct step *s) {
  if (s->target && !s->y_target.id) s->y_target = backbone(s->target, s->views, 2);
  return s->y_target;
}

static const char *const projectors[N_TERMS] = {"inv_projector", "equi_projector", "trans_projector"},
                         *const predictors[N_TERMS] = {"inv_predictor", "equi_predictor", "trans_predictor"};

static int64_t last_width(const struct widths *w) { return w->width[w->n - 1]; }

/* A prediction is as wide as what it predicts. */
static void check_predictor(struct step *s, enum term term, const struct widths *projector) {
  if (s->base->predictor && last_width(projector) != last_width(&s->predictor))
    graph_fail(s->graph, E_ARG,
               "--%s ends in %lld, --predictor in %lld: base %s compares what the two of them give",
               term == TERM_TRANS ? "trans-projector" : "projector", (long long)last_width(projector),
               (long long)last_width(&s->predictor), s->base->name);
}

static void compare_rows(struct step *s, enum term term, struct comparison c) {
  c.projector = projectors[term];
  c.predictor = predictors[term];
  c.widths = term == TERM_TRANS ? &s->trans_projector : &s->projector;
  check_predictor(s, term, c.widths);
  struct value z;
  s->loss[term] = s->base->loss(s, &c, &z);
  if (term == TERM_INV) s->embeddings = z;
}

void compare(struct step *s, enum term term, struct value pairs, struct value target, int calls) {
  compare_rows(s, term, (struct comparison){.pairs = pairs, .calls = calls, .target = target});
}

void compare_prediction(struct step *s, enum term term, struct value y, struct value predicted,
                        struct value target) {
  struct value pairs = concat(s->graph, 0, (struct value[]){y, predicted}, 2);
  compare_rows(s, term,
               (struct comparison){.pairs = pairs, .calls = 4, .prediction = true, .target = target});
}

struct value third_view(struct step *s) {
  int64_t h = s->third_height, w = s->third_width;
  if (!h || !w)
    graph_fail(s->graph, E_ARG,
               "method %s needs a third view: a policy that has one (such as stl10+essl), or x3 in a replay",
               s->method->name);
  s->third = graph_input(s->graph, "third", (struct shape){4, {s->batch, 3, h ? h : 1, w ? w : 1}});
  return s->third;
}

struct value label(struct step *s, enum label kind) {
  if (!s->labels.id)
    s->labels = graph_input(s->graph, "labels", (struct shape){2, {2 * s->batch, LABEL_COLUMNS}});
  return columns(s->graph, s->labels, label_kinds[kind].first, label_kinds[kind].count);
}

struct value labels_back(struct step *s) {
  struct value parts[N_LABELS];
  int n = 0;
  for (enum label k = 0; k < N_LABELS; k++)
    if (s->label_kinds >> k & 1) parts[n++] = swap_halves(s->graph, label(s, k));
  struct value joined = concat(s->graph, 1, parts, n);
  return weighted_sum(s->graph, &joined, (double[]){-1}, 1);
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
