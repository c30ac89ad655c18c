#include "extract.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "store/features.h"

enum { REPORT_MS = 500 };

/* Both passes over the data, with what they share. */
struct work {
  const struct extraction *e;
  struct feed_options feed; /* the second pass listens where the first did */
  struct feed_place place;
  struct network *network;
  struct progress *progress;
  int64_t done, reported_ms;
};

int64_t calibration_batch(const struct linear_options *o, int64_t n_train) {
  return o->batch < n_train ? o->batch : n_train;
}

static void show(struct work *w, struct feed *feed, int64_t n, const char *note) {
  int64_t now = clock_ms();
  w->done += n;
  if (now - w->reported_ms >= REPORT_MS) {
    feed_report(feed, w->progress);
    w->reported_ms = now;
  }
  progress_set(w->progress, w->done, note);
}

static enum status open_feed(struct work *w, struct feed **out, const char *const *splits, size_t n_splits,
                             int64_t batch, int64_t steps) {
  const struct feed_plan plan = {.run = "linear",
                                 .splits = splits,
                                 .n_splits = n_splits,
                                 .policy = policy_json(w->e->policy),
                                 .batch = batch,
                                 .last_step = steps};
  enum status st = feed_open(out, &w->feed, &plan);
  if (st != OK) return st;
  feed_report_waits(*out, w->progress);
  return feed_stay(&w->place, &w->feed, *out);
}

/* One pass over the training split in training mode, its ragged last batch left out. */
static enum status calibrate(struct work *w) {
  enum status st;
  const struct linear_options *o = w->e->options;
  const struct feed_batch *b;
  struct feed *feed = NULL;
  struct network *measured = NULL;
  int64_t n = w->e->splits[0]->count, batch = calibration_batch(o, n), steps = n / batch;
  TRY(weights_source_network(&measured, w->e->source, GRAPH_FORWARD, batch, &o->device));
  TRY(open_feed(w, &feed, &w->e->splits[0]->name, 1, batch, steps));
  for (int64_t k = 1; k <= steps; k++) {
    TRY(feed_next(feed, &b));
    TRY(network_calibrate(measured, b->views[0].pixels, k));
    show(w, feed, b->n, "BatchNorm statistics");
    TRY(feed_release(feed));
  }
  TRY(network_copy(w->network, measured));
out:
  feed_close(&feed);
  network_close(&measured);
  return st;
}

/* A batch may hold the end of one split and the start of the next. */
static enum status store(struct features_writer *writer, const struct work *w, int64_t *row,
                         const struct feed_batch *b, const float *x) {
  enum status st = OK;
  int64_t first = w->e->splits[0]->count, total = first + w->e->splits[1]->count;
  for (int64_t at = 0, n; at < b->n; at += n, *row += n) {
    if (*row == 0) TRY(features_writer_split(writer, w->e->splits[0]->name));
    if (*row == first) TRY(features_writer_split(writer, w->e->splits[1]->name));
    int64_t left = (*row < first ? first : total) - *row;
    n = b->n - at < left ? b->n - at : left;
    TRY(features_writer_add(writer, n, b->ids + at, b->labels + at, x + at * network_dim(w->network)));
  }
out:
  return st;
}

static enum status compute(struct work *w, struct features_writer *writer) {
  enum status st;
  const struct linear_options *o = w->e->options;
  const char *const names[] = {w->e->splits[0]->name, w->e->splits[1]->name};
  const struct feed_batch *b;
  struct feed *feed = NULL;
  int64_t total = w->e->splits[0]->count + w->e->splits[1]->count, row = 0;
  float *x = malloc((size_t)(o->batch * network_dim(w->network)) * sizeof *x);
  if (!x) return fail(E_MEMORY, "out of memory for the features of a batch");
  TRY(open_feed(w, &feed, names, 2, o->batch, -1));
  while (row < total) {
    TRY(feed_next(feed, &b));
    TRY(network_features(w->network, b->views[0].pixels, b->n, x));
    TRY(store(writer, w, &row, b, x));
    show(w, feed, b->n, "");
    TRY(feed_release(feed));
  }
out:
  feed_close(&feed);
  free(x);
  return st;
}

enum status extract(const struct extraction *e) {
  enum status st;
  const struct linear_options *o = e->options;
  struct work w = {.e = e, .feed = o->feed};
  struct features_writer *writer = NULL;
  int64_t n_train = e->splits[0]->count, batch = calibration_batch(o, n_train);
  int64_t calibrated = e->source->file ? 0 : n_train / batch * batch;
  TRY(weights_source_network(&w.network, e->source, GRAPH_INFERENCE, o->batch, &o->device));
  TRY(features_writer_open(&writer, e->path, e->key, network_dim(w.network)));
  TRY(progress_open(&w.progress, "features", "images", calibrated + n_train + e->splits[1]->count));
  if (calibrated) TRY(calibrate(&w));
  TRY(compute(&w, writer));
  TRY(features_writer_commit(&writer));
out:
  features_writer_abort(&writer);
  progress_close(&w.progress);
  network_close(&w.network);
  feed_place_free(&w.place);
  return st;
}
