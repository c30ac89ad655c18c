/* `tandem-train replay`: optimiser steps on one given batch, with every gradient and parameter written out,
 * to compare with another implementation or to reproduce a report. */
#include "replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tensor_list.h"
#include "model/weights.h"
#include "step.h"

struct replay_options {
  struct model_options model;
  struct method_options method;
  struct optimiser_options optimiser;
  struct device_options device;
  const char *weights, *batch, *out;
  int64_t steps;
};

enum { MAX_STEPS = 1000000 };

#define AT(member) offsetof(struct replay_options, member)
static const struct opt replay_opts[] = {
    {"weights", OPT_STR, AT(weights), NULL, "safetensors file with every parameter to start from",
     .required = true},
    {"batch", OPT_STR, AT(batch), NULL,
     "safetensors file with the normalised views x1 and x2 (and x3), [B,3,H,W] f32, and where a method has "
     "use for them label12 and label21, [B,8] to [B,11] f32",
     .required = true},
    {"out", OPT_STR, AT(out), NULL, "safetensors file to write: losses, grad.NAME, after.NAME",
     .required = true},
    {"steps", OPT_INT, AT(steps), "2", "optimiser steps on the batch"},
    {"method", OPT_TABLE, AT(method), .sub = method_opts},
    {"model", OPT_TABLE, AT(model), .sub = model_opts},
    {"optimiser", OPT_TABLE, AT(optimiser), .sub = optimiser_opts},
    {"device", OPT_TABLE, AT(device), .sub = device_opts},
    {0}};
#undef AT

struct replay {
  struct safetensors *weights, *batch;
  struct step *step;
  struct updater *updater;
  double *losses; /* [steps, 1 + N_TERMS] */
  struct tensor_list out;
};

static enum status find_view(const struct tensor_view **out, const struct safetensors *file, const char *name,
                             const struct tensor_view *like) {
  const struct tensor_view *t = *out = safetensors_find(file, name);
  if (!t) return fail(E_NOT_FOUND, "--batch: the file has no tensor %s", name);
  if (t->dtype != DTYPE_F32 || t->n_dims != 4 || t->shape[1] != 3)
    return fail(E_SHAPE, "--batch: %s is not [B,3,H,W] f32", name);
  if (like && memcmp(t->shape, like->shape, 4 * sizeof *t->shape) != 0)
    return fail(E_SHAPE, "--batch: the views differ in shape");
  return OK;
}

/* Writes one tensor behind the other to an input. */
static enum status write_both(struct replay *r, struct value to, const void *first, size_t size,
                              const void *second) {
  float *both = malloc(2 * size);
  if (!both) return fail(E_MEMORY, "out of memory");
  memcpy(both, first, size);
  memcpy((char *)both + size, second, size);
  enum status st = graph_write_f32(r->step->graph, to, both, (int64_t)(2 * size / sizeof(float)));
  free(both);
  return st;
}

static enum status find_label(const struct tensor_view **out, const struct replay *r, const char *name) {
  const struct tensor_view *t = *out = safetensors_find(r->batch, name);
  if (!t) return fail(E_NOT_FOUND, "--batch: the file has no tensor %s", name);
  int64_t most = 0;
  for (enum label k = 0; k < N_LABELS; k++)
    if (r->step->label_kinds >> k & 1) most = label_kinds[k].first + label_kinds[k].count;
  if (t->dtype != DTYPE_F32 || t->n_dims != 2 || t->shape[0] != r->step->batch || t->shape[1] < most ||
      t->shape[1] > LABEL_GIVEN)
    return fail(E_SHAPE, "--batch: %s is not f32 of %" PRId64 " rows and %" PRId64 " to %d columns", name,
                r->step->batch, most, LABEL_GIVEN);
  return OK;
}

static enum status write_labels(struct replay *r) {
  const char *const names[] = {"label12", "label21"};
  const struct tensor_view *t;
  int64_t n = r->step->batch;
  float *rows = calloc((size_t)(2 * n * LABEL_COLUMNS), sizeof *rows);
  enum status st = rows ? OK : fail(E_MEMORY, "out of memory");
  for (int i = 0; i < 2 && st == OK; i++) {
    st = find_label(&t, r, names[i]);
    if (st == OK) labels_complete(rows + i * n * LABEL_COLUMNS, t->data, n, t->shape[1]);
  }
  if (st == OK) st = graph_write_f32(r->step->graph, r->step->labels, rows, 2 * n * LABEL_COLUMNS);
  free(rows);
  return st;
}

static enum status write_batch(struct replay *r, const struct tensor_view *x1, const struct tensor_view *x2,
                               const struct tensor_view *x3) {
  struct step *s = r->step;
  enum status st = OK;
  TRY(write_both(r, s->views, x1->data, x1->size, x2->data));
  if (s->third.id && x3)
    TRY(graph_write_f32(s->graph, s->third, x3->data, (int64_t)(x3->size / sizeof(float))));
  if (s->labels.id) TRY(write_labels(r));
out:
  return st;
}

static enum status replay_open(struct replay *r, struct replay_options *o) {
  const struct tensor_view *x1, *x2, *x3 = NULL;
  enum status st = OK;
  TRY(method_options_check(&o->method));
  TRY(optimiser_options_check(&o->optimiser));
  TRY(device_options_resolve(&o->device));
  if (o->steps < 1 || o->steps > MAX_STEPS) {
    st = fail(E_ARG, "--steps: %" PRId64 " is not from 1 to %d", o->steps, MAX_STEPS);
    goto out;
  }
  TRY(safetensors_open(&r->weights, o->weights));
  TRY(safetensors_open(&r->batch, o->batch));
  TRY(find_view(&x1, r->batch, "x1", NULL));
  TRY(find_view(&x2, r->batch, "x2", x1));
  if (safetensors_find(r->batch, "x3")) TRY(find_view(&x3, r->batch, "x3", NULL));
  if (x3 && x3->shape[0] != x1->shape[0]) {
    st = fail(E_SHAPE, "--batch: x3 has not as many images as x1");
    goto out;
  }
  TRY(model_resolve(&o->model, r->weights));
  struct step_config config = {.model = &o->model,
                               .method = &o->method,
                               .batch = x1->shape[0],
                               .height = x1->shape[2],
                               .width = x1->shape[3],
                               .device = o->device.device,
                               .threads = (int)o->device.threads,
                               .third_height = x3 ? x3->shape[2] : 0,
                               .third_width = x3 ? x3->shape[3] : 0,
                               .precision = device_precision(&o->device),
                               .plans = device_plans(&o->device)};
  TRY(step_open(&r->step, &config));
  TRY(weights_load(r->step->model, r->weights, o->weights, false));
  TRY(step_optimiser(&r->updater, r->step, &o->optimiser));
  TRY(write_batch(r, x1, x2, x3));
  r->losses = calloc((size_t)o->steps * (1 + N_TERMS), sizeof *r->losses);
  if (!r->losses) st = fail(E_MEMORY, "out of memory");
out:
  return st;
}

static enum status keep_tensors(struct replay *r, const char *prefix, bool gradients) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(r->step->graph, &tensors);
  enum status st = OK;
  for (size_t i = 0; i < n && st == OK; i++) {
    struct value v = gradients ? graph_gradient(r->step->graph, tensors[i].value) : tensors[i].value;
    if (v.id && (!gradients || tensors[i].trained))
      st = tensor_list_value(&r->out, r->step->graph, prefix, tensors[i].name, v, step_dtype(r->step));
  }
  return st;
}

static enum status keep_losses(struct replay *r, int64_t steps) {
  const struct shape shape = {2, {steps, 1 + N_TERMS}};
  const enum dtype dtype = step_dtype(r->step);
  void *data;
  enum status st = tensor_list_room(&r->out, "", "losses", dtype, shape, &data);
  for (int64_t i = 0; st == OK && i < shape_count(shape); i++)
    if (dtype == DTYPE_F64)
      ((double *)data)[i] = r->losses[i];
    else
      ((float *)data)[i] = (float)r->losses[i];
  return st;
}

static enum status replay_steps(struct replay *r, const struct replay_options *o) {
  const struct pace pace = {o->optimiser.lr, o->optimiser.lr, 0, 1};
  enum status st = OK;
  for (int64_t i = 0; i < o->steps; i++) {
    struct losses l;
    TRY(step_forward(r->step, &l));
    double *row = r->losses + i * (1 + N_TERMS);
    row[0] = l.total;
    memcpy(row + 1, l.term, sizeof l.term);
    TRY(step_update(r->step, r->updater, &pace));
    if (i == 0) TRY(keep_tensors(r, "grad.", true));
    printf("step %" PRId64 ": total %.9g inv %.9g equi %.9g trans %.9g\n", i + 1, row[0], row[1], row[2],
           row[3]);
  }
out:
  return st;
}

static enum status replay_run(void *options) {
  struct replay_options *o = options;
  struct replay r = {0};
  enum status st = OK;
  TRY(replay_open(&r, o));
  TRY(replay_steps(&r, o));
  TRY(keep_losses(&r, o->steps));
  TRY(keep_tensors(&r, "after.", false));
  TRY(safetensors_write(o->out, r.out.views, r.out.count, NULL, 0));
out:
  tensor_list_free(&r.out);
  updater_close(&r.updater);
  step_close(&r.step);
  safetensors_close(&r.batch);
  safetensors_close(&r.weights);
  free(r.losses);
  return st;
}

const struct command replay_command = {"replay",
                                       "optimiser steps on one given batch, everything written out",
                                       sizeof(struct replay_options),
                                       replay_opts,
                                       NULL,
                                       replay_run};
