/* `tandem-train`: pretraining, from the options to the final weights. */
#include "train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "checkpoint.h"
#include "model/weights.h"
#include "pictures.h"
#include "run.h"
#include "watch.h"

/* Channel statistics that were published with the settings of methods
 * section 1. */
static const struct {
  const char *name;
  struct normalization values;
} published[] = {{"stl10", {{.43, .42, .39}, {.27, .26, .27}}},
                 {"cifar", {{.4914, .4822, .4465}, {.247, .243, .261}}},
                 {"imagenet", {{.485, .456, .406}, {.229, .224, .225}}}};

/* --- Opening -------------------------------------------------------------------------------------------- */

static enum status open_data(struct run *run) {
  struct train_options *o = run->o;
  static const char *const only_train[] = {"train"};
  run->splits = o->splits.count ? o->splits.items : (const char **)(uintptr_t)only_train;
  run->n_splits = o->splits.count ? o->splits.count : 1;
  enum status st = dataset_open(&run->dataset, o->feed.dataset);
  if (st != OK) return st;
  run->data = dataset_info(run->dataset);
  for (size_t i = 0; i < run->n_splits; i++) {
    const struct split *split = dataset_split(run->dataset, run->splits[i]);
    if (!split) return E_NOT_FOUND;
    run->n_images += split->count;
  }
  run->steps_per_epoch = run->n_images / o->batch;
  if (!run->steps_per_epoch)
    return fail(E_ARG, "--batch %" PRId64 " is more than the %" PRId64 " images of the splits", o->batch,
                run->n_images);
  if (o->epochs > INT32_MAX / run->steps_per_epoch)
    return fail(E_ARG, "--epochs %" PRId64 " makes more than 2^31 steps", o->epochs);
  run->last_step = run->steps_per_epoch * o->epochs;
  dataset_normalization(run->dataset, run->normalization.mean, run->normalization.std);
  for (size_t i = 0; i < sizeof published / sizeof *published; i++)
    if (strcmp(published[i].name, o->normalize) == 0) run->normalization = published[i].values;
  return OK;
}

/* Room for what the method takes beside the two views. */
static enum status open_extras(struct run *run) {
  const struct step *s = run->step;
  enum status st = OK;
  size_t third = (size_t)run->o->batch * (size_t)run->third_size * (size_t)run->third_size * 3,
         labels = (size_t)(2 * run->o->batch * LABEL_COLUMNS);
  if (s->third.id && third && !(run->third = malloc(third)))
    st = fail(E_MEMORY, "out of memory: %zu bytes", third);
  if (s->labels.id && !(run->differences = calloc(labels, sizeof *run->differences)))
    st = fail(E_MEMORY, "out of memory: %zu bytes", labels * sizeof *run->differences);
  return st;
}

/* The network with what is written into it, ready for its first step. */
static enum status open_network(struct run *run) {
  const struct train_options *o = run->o;
  enum status st = OK;
  TRY(run_open_step(run, false));
  TRY(open_extras(run));
  TRY(graph_init(run->step->graph, (uint64_t)o->seed));
  TRY(step_optimiser(&run->updater, run->step, &o->optimiser));
  size_t size = (size_t)(N_VIEWS * o->batch) * (size_t)run->size * (size_t)run->size * 3;
  run->views = malloc(size);
  if (!run->views)
    st = fail(E_MEMORY, "out of memory: %zu bytes for a batch", size);
  else if (run->weights)
    st = weights_load(run->step->model, run->weights, o->weights, true);
out:
  return st;
}

/* Puts the newest checkpoint back, or says that the run starts from the
 * beginning. */
static enum status resume(struct run *run) {
  struct safetensors *file;
  enum status st = checkpoint_find(&file, run->folder, &run->first_step);
  if (st == E_NOT_FOUND) {
    log_info("%s; starting from the beginning", fail_message());
    run->first_step = 0;
    return OK;
  }
  if (st != OK) return st;
  TRY(checkpoint_check_settings(file, run->settings));
  TRY(checkpoint_restore(file, run->step, run->updater));
  log_info("continuing after step %" PRId64 " of %" PRId64, run->first_step, run->last_step);
out:
  safetensors_close(&file);
  return st;
}

/* Without --resume, an earlier run's checkpoints are neither continued nor
 * overwritten. */
static enum status start(const struct run *run) {
  struct safetensors *file;
  int64_t step;
  enum status st = checkpoint_find(&file, run->folder, &step);
  safetensors_close(&file);
  if (st == OK)
    return fail(E_EXISTS,
                "%s holds the checkpoint of an earlier run (step %" PRId64
                "); --resume continues it, another "
                "--out starts anew",
                run->folder, step);
  return st == E_NOT_FOUND ? OK : st;
}

static enum status open_feed(struct run *run) {
  const struct train_options *o = run->o;
  char ledger[PATH_MAX];
  snprintf(ledger, sizeof ledger, "%s/ledger.jsonl", run->folder);
  struct feed_plan plan = {.run = "train",
                           .splits = run->splits,
                           .n_splits = run->n_splits,
                           .policy = policy_json(run->policy),
                           .seed = (uint64_t)o->seed,
                           .batch = o->batch,
                           .shuffle = true,
                           .first_step = run->first_step,
                           .last_step = run->last_step,
                           .ledger = ledger};
  return feed_open(&run->feed, &run->feed_options, &plan);
}

static enum status open_metrics(struct run *run) {
  char path[PATH_MAX];
  enum status st = OK;
  snprintf(path, sizeof path, "%s/metrics.jsonl", run->folder);
  if (run->o->tensorboard) TRY(event_file_open(&run->events, run->folder, run->first_step));
  TRY(metrics_open(&run->metrics, path, run->first_step, run->events));
out:
  return st;
}

static enum status run_open(struct run *run) {
  struct train_options *o = run->o;
  enum status st = OK;
  TRY(run_resolve(run));
  if (snprintf(run->folder, sizeof run->folder, "%s", o->out) >= (int)sizeof run->folder) {
    st = fail(E_ARG, "--out: the path is too long: %.80s...", o->out);
    goto out;
  }
  TRY(open_data(run));
  TRY(settings_make(&run->settings, run));
  TRY(open_network(run));
  TRY(file_make_folder(run->folder));
  TRY(file_lock_folder(run->folder, &run->lock));
  TRY(checkpoint_remove_partial(run->folder));
  TRY(o->resume ? resume(run) : start(run));
  run->schedule = (struct schedule){o->optimiser.lr, strcmp(o->schedule, "cosine") == 0, o->epochs,
                                    run->steps_per_epoch, o->warmup_epochs};
  TRY(open_metrics(run));
out:
  return st;
}

/* What waits for workers, and says so. */
static enum status open_feeds(struct run *run, struct progress *p) {
  run->feed_options = run->o->feed;
  enum status st = watch_open(&run->watch, run, p);
  if (st == OK) st = open_feed(run);
  if (st == OK) feed_report_waits(run->feed, p);
  return st;
}

static void run_close(struct run *run) {
  feed_close(&run->feed);
  watch_close(&run->watch);
  metrics_close(&run->metrics);
  event_file_close(&run->events);
  updater_close(&run->updater);
  step_close(&run->step);
  json_decref(run->settings);
  safetensors_close(&run->weights);
  dataset_close(&run->dataset);
  policy_close(&run->policy);
  free(run->views);
  free(run->third);
  free(run->differences);
  if (run->lock >= 0) close(run->lock);
}

/* --- Training ------------------------------------------------------------------------------------------- */

/* d(1,2) of every image, then d(2,1). */
static void find_differences(struct run *run, const struct feed_batch *batch) {
  for (int64_t i = 0; i < batch->n; i++) {
    const float *p[N_VIEWS];
    for (int v = 0; v < N_VIEWS; v++) p[v] = batch->views[v].params + (size_t)i * batch->views[v].n_params;
    label_difference(run->differences + i * LABEL_COLUMNS, p[0], &run->labels[0], p[1], &run->labels[1]);
    label_difference(run->differences + (batch->n + i) * LABEL_COLUMNS, p[1], &run->labels[1], p[0],
                     &run->labels[0]);
  }
}

static enum status write_batch(struct run *run) {
  struct step *s = run->step;
  const struct normalization *z = &run->normalization;
  enum status st = OK;
  TRY(graph_write_pixels(s->graph, s->views, run->views, z->mean, z->std));
  if (run->third) TRY(graph_write_pixels(s->graph, s->third, run->third, z->mean, z->std));
  if (run->differences)
    TRY(graph_write_f32(s->graph, s->labels, run->differences, 2 * s->batch * LABEL_COLUMNS));
out:
  return st;
}

/* Waits for a batch and puts what the method takes of it into the graph. */
static enum status take_batch(struct run *run) {
  const struct feed_batch *batch;
  double began = clock_s();
  enum status st = feed_next(run->feed, &batch);
  if (st != OK) return st;
  const int n_views = run->third ? THIRD + 1 : N_VIEWS;
  size_t view = (size_t)batch->n * (size_t)run->size * (size_t)run->size * 3;
  if (batch->n != run->o->batch || batch->n_views != n_views)
    return fail(E_PEER, "a batch of %" PRId64 " images and %d views came for one of %" PRId64 " and %d",
                batch->n, batch->n_views, run->o->batch, n_views);
  for (int v = 0; v < N_VIEWS; v++) memcpy(run->views + (size_t)v * view, batch->views[v].pixels, view);
  if (run->third)
    memcpy(run->third, batch->views[THIRD].pixels,
           (size_t)batch->n * (size_t)run->third_size * (size_t)run->third_size * 3);
  if (run->differences) find_differences(run, batch);
  run->wait_s += clock_s() - began;
  if (pictures_due(run, batch->step)) TRY(pictures_add(run, batch));
  TRY(feed_release(run->feed));
  TRY(write_batch(run));
out:
  return st;
}

static void show(struct run *run, struct progress *p, int64_t step, double lr, const struct losses *l) {
  char note[200];
  int64_t epoch = step / run->steps_per_epoch;
  json_t *losses = json_pack("{s:f}", "total", l->total);
  snprintf(note, sizeof note, "epoch %" PRId64 "/%" PRId64 "  lr %.4g  loss %.4f", epoch + 1, run->o->epochs,
           lr, l->total);
  for (int i = 0; i < N_TERMS; i++) {
    if (!run->step->loss[i].id) continue;
    size_t used = strlen(note);
    snprintf(note + used, sizeof note - used, "  %s %.4f", term_names[i], l->term[i]);
    json_object_set_new(losses, term_names[i], json_real(l->term[i]));
  }
  watch_show(run->watch, p, note, sizeof note);
  double busy = run->compute_s + run->wait_s;
  progress_detail_take(p, "losses", losses);
  progress_detail_take(p, "step", json_integer(step + 1));
  progress_detail_take(p, "steps", json_integer(run->last_step));
  progress_detail_take(p, "epoch", json_integer(epoch + 1));
  progress_detail_take(p, "epochs", json_integer(run->o->epochs));
  progress_detail_take(p, "wait_fraction", json_real(busy > 0 ? run->wait_s / busy : 0));
  feed_report(run->feed, p);
  progress_set(p, (step + 1) * run->o->batch, note);
}

static struct pace pace_of(const struct run *run, int64_t step) {
  return (struct pace){schedule_lr(&run->schedule, step), run->o->optimiser.lr, step / run->steps_per_epoch,
                       run->o->epochs};
}

/* The line of a step that is done. */
static enum status report(struct run *run, int64_t step, struct progress *p) {
  const struct pace pace = pace_of(run, step);
  struct losses losses;
  struct scalars measured = {0};
  double began = clock_s();
  enum status st = step_losses(run->step, &losses);
  if (st != OK) return fail_within(st, "step %" PRId64, step);
  scalars_put_losses(&measured, run->step, pace.lr, &losses);
  TRY(watch_step(run->watch, step, &measured));
  TRY(metrics_add(run->metrics, step, pace.epoch, &measured));
  TRY(watch_advance(run->watch, step));
  run->compute_s += clock_s() - began;
  show(run, p, step, pace.lr, &losses);
out:
  return st;
}

static enum status report_until(struct run *run, struct progress *p, int64_t steps_done) {
  enum status st = OK;
  for (; st == OK && run->reported < steps_done; run->reported++) st = report(run, run->reported, p);
  return st;
}

static enum status save(struct run *run, struct progress *p, int64_t steps_done) {
  enum status st = report_until(run, p, steps_done);
  if (st == OK) st = metrics_sync(run->metrics);
  if (st == OK) st = feed_sync(run->feed);
  if (st != OK) return st;
  return checkpoint_save(run->folder, steps_done, run->o->keep, run->step, run->updater, run->settings);
}

static bool is_checkpoint_due(const struct run *run, int64_t steps_done) {
  if (steps_done == run->last_step) return true;
  return steps_done % run->steps_per_epoch == 0 &&
         steps_done / run->steps_per_epoch % run->o->checkpoint_every == 0;
}

/* A stop that was asked for, or workers that fail, keep what was done. */
static enum status leave(struct run *run, struct progress *p, enum status why, int64_t steps_done,
                         int64_t saved) {
  char reason[1024];
  snprintf(reason, sizeof reason, "%s", fail_message());
  enum status st = steps_done > saved ? save(run, p, steps_done) : OK;
  if (st != OK) return st;
  log_info("stopped after step %" PRId64 " of %" PRId64 "; --resume continues", steps_done, run->last_step);
  return fail(why, "%s", reason);
}

/* Runs ahead of its losses by as many steps as the device allows, but not where something looks at the network. */
static enum status one_step(struct run *run, int64_t step, struct progress *p) {
  const struct pace pace = pace_of(run, step);
  enum status st = OK;
  TRY(take_batch(run));
  double began = clock_s();
  TRY(step_run(run->step, run->updater, &pace));
  run->compute_s += clock_s() - began;
  TRY(report_until(run, p, step + 1 - (watch_due(run->watch, step) ? 0 : graph_lag(run->step->graph))));
out:
  return st;
}

static enum status train(struct run *run, struct progress *p) {
  int64_t saved = run->reported = run->first_step;
  for (int64_t step = run->first_step; step < run->last_step; step++) {
    enum status st = one_step(run, step, p);
    if (st == E_INTERRUPTED || st == E_PEER) return leave(run, p, st, step, saved);
    if (st != OK) return st;
    if (is_checkpoint_due(run, step + 1)) {
      st = save(run, p, step + 1);
      if (st != OK) return st;
      saved = step + 1;
    }
    if (stop_requested() && step + 1 < run->last_step)
      return leave(run, p, fail(E_INTERRUPTED, "stopped after step %" PRId64, step + 1), step + 1, saved);
  }
  return watch_finish(run->watch);
}

static void announce(const struct run *run) {
  const struct train_options *o = run->o;
  log_info("%s with base %s; %s, width %" PRId64 ", %s stem; %" PRId64 " images of %d pixels, %" PRId64
           " steps of %" PRId64 "; %s, %" PRId64 " threads, %.0f MB",
           run->step->method->name, run->step->base->name, o->model.arch, o->model.width, o->model.stem,
           run->n_images, run->size, run->last_step, o->batch, o->device.device, o->device.threads,
           (double)(graph_arena_bytes(run->step->graph) + graph_param_bytes(run->step->graph)) / 1e6);
}

static enum status train_run(void *options) {
  struct run run = {.o = options, .lock = -1};
  struct progress *progress = NULL;
  double began = clock_s();
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(run_open(&run));
  TRY(progress_open(&progress, "train", "images", run.last_step * run.o->batch));
  progress_set(progress, run.first_step * run.o->batch, NULL);
  TRY(open_feeds(&run, progress));
  announce(&run);
  TRY(train(&run, progress));
  TRY(outputs_write(&run, clock_s() - began));
out:
  if (st == OK)
    progress_close(&progress);
  else
    progress_abort(&progress);
  run_close(&run);
  return st;
}

const struct command train_command = {NULL,
                                      "pretrain; workers connect to --listen",
                                      sizeof(struct train_options),
                                      train_opts,
                                      train_presets,
                                      train_run};
