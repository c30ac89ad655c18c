#include "step.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cost.h"
#include "nn/ema/ema.h"
#include "nn/weighted_sum/weighted_sum.h"
#include "store/safetensors.h"

/* total = sum of weight x term over the terms that are computed (STL eq. 9) */
static enum status build(struct step *s, const struct step_config *c) {
  s->views = graph_input(s->graph, "views", (struct shape){4, {2 * c->batch, 3, c->height, c->width}});
  s->method->build(s);
  if (!s->embeddings.id) s->embeddings = s->y;
  graph_output(s->graph, "embeddings", s->embeddings);
  struct value terms[N_TERMS];
  double weights[N_TERMS];
  int n = 0;
  for (int i = 0; i < N_TERMS; i++) {
    if (!s->loss[i].id) continue;
    graph_output(s->graph, term_names[i], s->loss[i]);
    weights[n] = s->options.weight[i];
    terms[n++] = s->loss[i];
  }
  if (!n)
    return fail(E_ARG, "method %s uses no term whose weight is above 0: there is nothing to learn",
                s->method->name);
  s->total = weighted_sum(s->graph, terms, weights, n);
  graph_output(s->graph, "total", s->total);
  return graph_plan(s->graph, s->total);
}

static enum status read_options(struct step *s, const struct step_config *c) {
  enum status st = OK;
  s->options = *c->method;
  TRY(method_resolve(&s->options));
  TRY(method_find(&s->options, &s->method, &s->base));
  if (s->base->check) TRY(s->base->check(base_own(s)));
  if (s->method->check) TRY(s->method->check(method_own(s)));
  TRY(widths_parse(&s->projector, s->options.projector, "projector"));
  if (s->options.predictor) TRY(widths_parse(&s->predictor, s->options.predictor, "predictor"));
  TRY(widths_parse(&s->trans_backbone, s->options.trans_backbone, "trans-backbone"));
  TRY(widths_parse(&s->trans_projector, s->options.trans_projector, "trans-projector"));
  TRY(labels_parse(&s->label_kinds, s->options.labels));
  if (c->batch < 4 || c->batch % 2)
    st = fail(E_ARG, "a batch of %lld images; it must be even and at least 4", (long long)c->batch);
out:
  return st;
}

/* The total and the terms that there are, in the order of `losses`. */
static enum status watch_losses(struct step *s) {
  struct value watched[1 + N_TERMS] = {s->total};
  int n = 1;
  for (int i = 0; i < N_TERMS; i++)
    if (s->loss[i].id) watched[n++] = s->loss[i];
  return graph_watch(s->graph, watched, n);
}

enum status step_open(struct step **out, const struct step_config *c) {
  enum status st = OK;
  struct step *s = *out = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  s->device = c->device;
  s->batch = c->batch;
  s->third_height = c->third_height;
  s->third_width = c->third_width;
  TRY(read_options(s, c));
  TRY(graph_open(&s->graph, &(struct graph_config){.device = c->device,
                                                   .mode = GRAPH_TRAIN,
                                                   .threads = c->threads,
                                                   .plan_only = c->plan_only,
                                                   .precision = c->precision,
                                                   .plans = c->plans}));
  TRY(model_open(&s->model, s->graph, c->model));
  if (s->base->target_momentum) TRY(model_open_target(&s->target, s->model));
  TRY(build(s, c));
  if (s->target) TRY(ema_open(&s->ema, s->graph));
  if (!c->plan_only) TRY(watch_losses(s));
out:
  if (st != OK) step_close(out);
  return st;
}

void step_close(struct step **step) {
  struct step *s = *step;
  *step = NULL;
  if (!s) return;
  ema_close(&s->ema);
  model_close(&s->target);
  model_close(&s->model);
  graph_close(&s->graph);
  free(s);
}

static enum status not_finite(const struct step *s, const struct losses *l) {
  char text[160] = "";
  for (int i = 0; i < N_TERMS; i++)
    if (s->loss[i].id)
      snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s %g", *text ? ", " : "", term_names[i],
               l->term[i]);
  return fail(E_NUMERIC,
              "the loss is not a finite number (%s); lower --lr, add --warmup-epochs, or check the weights",
              text);
}

enum status step_forward(struct step *s, struct losses *losses) {
  enum status st = OK;
  *losses = (struct losses){0};
  TRY(graph_forward(s->graph));
  TRY(graph_read_f64(s->graph, s->total, &losses->total, 1));
  for (int i = 0; i < N_TERMS; i++)
    if (s->loss[i].id) TRY(graph_read_f64(s->graph, s->loss[i], &losses->term[i], 1));
  if (!isfinite(losses->total)) st = not_finite(s, losses);
out:
  return st;
}

enum status step_losses(struct step *s, struct losses *losses) {
  double watched[1 + N_TERMS];
  enum status st = graph_watched(s->graph, watched);
  if (st != OK) return st;
  *losses = (struct losses){.total = watched[0]};
  for (int i = 0, n = 1; i < N_TERMS; i++)
    if (s->loss[i].id) losses->term[i] = watched[n++];
  return isfinite(losses->total) ? OK : not_finite(s, losses);
}

enum { RATE_SCHEDULED, RATE_CONSTANT, N_RATES };

/* Predictors may keep a constant rate. */
static int rate_of(const char *name) {
  const char *dot = strchr(name, '.');
  static const char kind[] = "_predictor";
  size_t length = dot ? (size_t)(dot - name) : 0, n = sizeof kind - 1;
  return length > n && memcmp(dot - n, kind, n) == 0 ? RATE_CONSTANT : RATE_SCHEDULED;
}

enum status step_optimiser(struct updater **out, struct step *s, const struct optimiser_options *o) {
  const struct optimiser *rule;
  enum status st = optimiser_find(&rule, o->name ? o->name : "sgd");
  if (st != OK) return st;
  return updater_open(out, s->graph,
                      &(struct optimiser_config){o->momentum, o->weight_decay, !o->decay_bn,
                                                 s->base->constant_predictor ? rate_of : NULL, rule->name,
                                                 o->own[optimiser_place(rule)]});
}

enum status step_move(struct step *s, struct updater *updater, const struct pace *pace) {
  const double rates[N_RATES] = {pace->lr, pace->peak_lr};
  enum status st = OK;
  TRY(updater_step(updater, rates));
  if (s->ema) TRY(ema_step(s->ema, s->base->target_momentum(base_own(s), pace->epoch, pace->epochs)));
  model_count_step(s->model);
out:
  return st;
}

enum status step_update(struct step *s, struct updater *updater, const struct pace *pace) {
  enum status st = graph_backward(s->graph);
  return st == OK ? step_move(s, updater, pace) : st;
}

double step_update_bytes(const struct step *s, size_t n_states) {
  const struct graph_tensor *kept;
  double sum = 0;
  for (size_t i = 0, n = graph_tensors(s->graph, &kept); i < n; i++) {
    const struct tensor_cost held = graph_tensor_cost(s->graph, kept[i].value);
    /* reads the parameter, its gradient and its state; writes all but the gradient */
    if (held.updated) sum += (double)((3 + 2 * n_states) * held.bytes);
    if (held.averaged) sum += 3 * (double)held.bytes; /* reads both, writes one */
  }
  return sum;
}

struct step_call {
  struct step *step;
  struct updater *updater;
  const struct pace *pace;
};

static enum status forward_and_update(void *context) {
  const struct step_call *call = context;
  enum status st = graph_forward(call->step->graph);
  return st == OK ? step_update(call->step, call->updater, call->pace) : st;
}

enum status step_run(struct step *s, struct updater *updater, const struct pace *pace) {
  return graph_step(s->graph, forward_and_update, &(struct step_call){s, updater, pace});
}

enum dtype step_dtype(const struct step *s) { return strcmp(s->device, "ref") == 0 ? DTYPE_F64 : DTYPE_F32; }
