#include "watch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "evaluator.h"
#include "spread.h"

enum {
  MOST_EVALUATIONS = 20,
  MOST_PAIRS = 256,  /* of a batch, that spread looks at: its cost grows with their square */
  PASSES_A_STEP = 6, /* forward passes that training an image costs: two views, backward twice forward */
  BATCH = 64,        /* images per pass of the evaluation */
  POLL_MS = 10
};
static const double most_work = 0.03, /* of the training's, that evaluations may take */
    collapsed = 0.1;                  /* std below which embeddings are taken for collapsed */

struct watch {
  struct run *run;
  struct held_out data;
  struct feed_place place;
  struct evaluator *evaluator; /* NULL: no evaluations */
  int64_t every;               /* epochs between evaluations; 0: none */
  int64_t steps;               /* steps between looks at the embeddings; 0: none */
  int64_t evaluated;           /* last epoch whose evaluation has a line; -1: none */
  int64_t skipped;
  int64_t pairs, dim;
  float *embeddings; /* [2N, dim] */
  struct spread spread;
  struct scores scores;
  bool warned;
};

/* --- Embeddings, by step -------------------------------------------------------------------------------- */

static enum status open_spread(struct watch *w) {
  const struct step *s = w->run->step;
  int64_t per_epoch = w->run->steps_per_epoch;
  w->steps = w->run->o->monitor_steps < per_epoch ? w->run->o->monitor_steps : per_epoch;
  if (!w->steps) return OK;
  w->pairs = s->batch < MOST_PAIRS ? s->batch : MOST_PAIRS;
  w->dim = graph_shape(s->graph, s->embeddings).dim[1];
  w->embeddings = malloc((size_t)(2 * s->batch * w->dim) * sizeof *w->embeddings);
  return w->embeddings ? OK : fail(E_MEMORY, "out of memory for the embeddings of a batch");
}

static void warn_of_collapse(struct watch *w, int64_t step) {
  if (w->warned || w->spread.std >= collapsed) return;
  w->warned = true;
  log_warn("step %" PRId64
           ": the embeddings have all but collapsed to one point: std %.4f, where 1 is spread evenly "
           "and below %g means collapse",
           step, w->spread.std, collapsed);
}

static bool is_spread_due(const struct watch *w, int64_t step) {
  return w->steps && (step % w->steps == 0 || step + 1 == w->run->last_step);
}

enum status watch_step(struct watch *w, int64_t step, struct scalars *measured) {
  const struct step *s = w->run->step;
  if (!is_spread_due(w, step)) return OK;
  enum status st = graph_read_f32(s->graph, s->embeddings, w->embeddings, 2 * s->batch * w->dim);
  if (st != OK) return st;
  memmove(w->embeddings + w->pairs * w->dim, w->embeddings + s->batch * w->dim,
          (size_t)(w->pairs * w->dim) * sizeof *w->embeddings);
  w->spread = spread_of(w->embeddings, w->pairs, w->dim);
  scalars_put(measured, "std", w->spread.std);
  scalars_put(measured, "alignment", w->spread.alignment);
  scalars_put(measured, "uniformity", w->spread.uniformity);
  warn_of_collapse(w, step);
  return OK;
}

/* --- Features, by epoch --------------------------------------------------------------------------------- */

/* How many epochs apart evaluations are when nobody says: no more than MOST_EVALUATIONS, whose forward passes are
 * `most_work` of the training's. */
static int64_t usual_every(const struct run *run, int64_t images) {
  double epoch = (double)(run->steps_per_epoch * run->o->batch) * PASSES_A_STEP;
  double few = ceil((double)run->o->epochs / MOST_EVALUATIONS),
         cheap = ceil((double)images / (most_work * epoch));
  return (int64_t)fmin(fmax(few, cheap), (double)run->o->epochs);
}

static bool is_due(const struct watch *w, int64_t epochs_done) {
  return w->evaluator && epochs_done > 0 && epochs_done % w->every == 0 && epochs_done - 1 > w->evaluated;
}

/* Training does not end for want of scores. */
static void warn_not_scored(int64_t epoch) {
  log_warn("the weights of epoch %" PRId64 " (from 0) are not scored: %s", epoch, fail_message());
}

static void begin(struct watch *w, int64_t epochs_done) {
  if (evaluator_is_busy(w->evaluator))
    w->skipped++;
  else if (evaluator_begin(w->evaluator, w->run->step->graph, epochs_done - 1) != OK)
    warn_not_scored(epochs_done - 1);
}

/* Writes the line of an evaluation that is done; `step`: where the run stands. */
static enum status take(struct watch *w, int64_t step) {
  struct scalars measured = {0};
  int64_t epoch;
  enum status st = evaluator_take(w->evaluator, &w->scores, &epoch);
  if (st == E_AGAIN) return OK;
  if (st != OK) {
    warn_not_scored(epoch);
    return OK;
  }
  w->evaluated = epoch;
  scalars_put(&measured, "knn", w->scores.knn);
  scalars_put(&measured, "probe", w->scores.probe);
  return metrics_add(w->run->metrics, step, epoch, &measured);
}

static bool is_evaluation_due(const struct watch *w, int64_t step) {
  const int64_t done = step + 1, epoch = w->run->steps_per_epoch;
  return done < w->run->last_step && done % epoch == 0 && is_due(w, done / epoch);
}

bool watch_due(const struct watch *w, int64_t step) {
  return is_spread_due(w, step) || is_evaluation_due(w, step);
}

enum status watch_advance(struct watch *w, int64_t step) {
  if (!w->evaluator) return OK;
  enum status st = take(w, step);
  if (st == OK && is_evaluation_due(w, step)) begin(w, (step + 1) / w->run->steps_per_epoch);
  return st;
}

static enum status await(struct watch *w) {
  enum status st = OK;
  while (st == OK && evaluator_is_busy(w->evaluator)) {
    if (stop_requested())
      return fail(E_INTERRUPTED, "stopped while the final weights were scored; --resume does it");
    clock_sleep_ms(POLL_MS);
    st = take(w, w->run->last_step - 1);
  }
  return st;
}

enum status watch_finish(struct watch *w) {
  enum status st = OK;
  if (!w->evaluator) return OK;
  TRY(await(w));
  if (w->evaluated < w->run->o->epochs - 1) {
    begin(w, w->run->o->epochs);
    TRY(await(w));
  }
  TRY(metrics_sync(w->run->metrics));
  if (w->evaluated == w->run->o->epochs - 1)
    log_info("the final weights: nearest neighbours %.1f %%, linear probe %.1f %%", 100 * w->scores.knn,
             100 * w->scores.probe);
  if (w->skipped)
    log_info("%" PRId64 " evaluations were left out, because the one before was not done", w->skipped);
out:
  return st;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* The last epoch that metrics.jsonl has scores of, and them. */
static enum status find_evaluated(struct watch *w) {
  json_t *line;
  w->evaluated = -1;
  enum status st = metrics_last(w->run->metrics, "knn", &line);
  if (st == E_NOT_FOUND) return OK;
  if (st != OK) return st;
  w->evaluated = json_integer_value(json_object_get(line, "epoch"));
  w->scores.knn = json_number_value(json_object_get(line, "knn"));
  w->scores.probe = json_number_value(json_object_get(line, "probe"));
  json_decref(line);
  return OK;
}

static enum status open_evaluator(struct watch *w) {
  struct run *run = w->run;
  struct network_config config = {.model = &run->o->model,
                                  .size = run->size,
                                  .batch = BATCH,
                                  .mode = GRAPH_INFERENCE,
                                  .device = "cpu",
                                  .threads = 1};
  memcpy(config.mean, run->normalization.mean, sizeof config.mean);
  memcpy(config.std, run->normalization.std, sizeof config.std);
  return evaluator_open(&w->evaluator, &config, &w->data);
}

/* A run that was resumed where an evaluation was due begins with it. */
static void catch_up(struct watch *w) {
  const struct run *run = w->run;
  int64_t epochs_done = run->first_step / run->steps_per_epoch;
  bool at_end = run->first_step % run->steps_per_epoch == 0 && run->first_step < run->last_step;
  if (at_end && is_due(w, epochs_done)) begin(w, epochs_done);
}

/* A build may be without it (CPU_MATH=0): fail_message says so. */
static bool has_scoring_device(void) {
  struct graph *g = NULL;
  enum status st = graph_open(&g, &(struct graph_config){.device = "cpu", .threads = 1});
  graph_close(&g);
  return st == OK;
}

static enum status open_evaluations(struct watch *w, struct progress *progress) {
  struct run *run = w->run;
  const struct train_options *o = run->o;
  enum status st = OK;
  TRY(find_evaluated(w));
  if (o->monitor_every == 0 || w->evaluated == o->epochs - 1) return OK;
  if (!has_scoring_device()) {
    log_warn("features are not scored while training, for want of the cpu backend: %s", fail_message());
    return OK;
  }
  TRY(held_out_choose(&w->data, run->dataset, run->splits, run->n_splits, o->monitor_split,
                      o->monitor_images));
  if (!w->data.n_bank) {
    log_info("features are not scored while training: %s", w->data.why_not);
    return OK;
  }
  int64_t n = w->data.n_bank + w->data.n_held;
  w->every = isnan(o->monitor_every) ? usual_every(run, n) : (int64_t)o->monitor_every;
  log_info("features are scored every %" PRId64 " epochs: %" PRId64 " images of '%s' by %" PRId64
           " trained on",
           w->every, w->data.n_held, o->monitor_split, w->data.n_bank);
  st = held_out_fetch(&w->data, run->size, &run->feed_options, &w->place, progress);
  if (st != OK) {
    st = fail_within(st, "the images for --monitor-every (0: none)");
    goto out;
  }
  TRY(open_evaluator(w));
  catch_up(w);
out:
  return st;
}

enum status watch_open(struct watch **out, struct run *run, struct progress *progress) {
  struct watch *w = *out = calloc(1, sizeof *w);
  if (!w) return fail(E_MEMORY, "out of memory");
  w->run = run;
  w->spread.std = w->scores.knn = NAN;
  enum status st = OK;
  TRY(open_spread(w));
  TRY(open_evaluations(w, progress));
out:
  return st;
}

void watch_close(struct watch **watch) {
  struct watch *w = *watch;
  *watch = NULL;
  if (!w) return;
  evaluator_close(&w->evaluator);
  held_out_free(&w->data);
  feed_place_free(&w->place);
  free(w->embeddings);
  free(w);
}

/* --- Reporting ------------------------------------------------------------------------------------------ */

static void append(char *note, size_t size, const char *format, double value) {
  size_t used = strlen(note);
  snprintf(note + used, size - used, format, value);
}

void watch_show(const struct watch *w, struct progress *p, char *note, size_t size) {
  json_t *values = json_object();
  if (!isnan(w->scores.knn)) {
    append(note, size, "  knn %.1f%%", 100 * w->scores.knn);
    json_object_set_new(values, "knn", json_real(w->scores.knn));
    json_object_set_new(values, "probe", json_real(w->scores.probe));
  }
  if (!isnan(w->spread.std)) {
    append(note, size, "  std %.2f", w->spread.std);
    json_object_set_new(values, "std", json_real(w->spread.std));
    json_object_set_new(values, "alignment", json_real(w->spread.alignment));
    json_object_set_new(values, "uniformity", json_real(w->spread.uniformity));
  }
  progress_detail_take(p, "monitors", values);
}

int64_t watch_skipped(const struct watch *w) { return w->skipped; }
