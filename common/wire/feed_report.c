/* What the feed and its workers have done, for progress files. */
#include <string.h>

#include "base/clock.h"
#include "wire/feed_impl.h"

enum { TELL_MS = 500 };

/* Takes over `list`, and NULL for it: what there was no memory for is left out. */
static void put(struct progress *progress, const char *key, json_t *value) {
  if (value) progress_detail_take(progress, key, value);
}

static json_t *named_counts(const char *const *names, const uint64_t *counts, size_t n) {
  json_t *o = json_object();
  for (size_t i = 0; o && i < n; i++) json_object_set_new(o, names[i], json_integer((json_int_t)counts[i]));
  return o;
}

/* The part of HOST:PID:RANDOM before the first colon. */
static json_t *host_of(const struct session *s) { return json_stringn(s->worker, strcspn(s->worker, ":")); }

static json_t *worker_report(const struct session *s, int64_t now_ms) {
  const struct counters *c = &s->count;
  return json_pack("{s:s, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "name", s->worker, "role",
                   s->role, "host", host_of(s), "silent", (int)s->silent, "shards", (json_int_t)c->shards,
                   "images", (json_int_t)c->images, "bytes_in", (json_int_t)c->bytes_in, "bytes_out",
                   (json_int_t)c->bytes_out, "busy_ms", (json_int_t)c->busy_ms, "wait_ms",
                   (json_int_t)c->wait_ms, "errors",
                   named_counts(counter_error_names, c->errors, ERROR_KINDS), "age_ms",
                   (json_int_t)(now_ms - s->heard_ms));
}

static json_t *feed_figures(const struct feed *f) {
  const struct feed_counters *c = &f->count;
  uint64_t refused = f->listening.guard ? guard_refused(f->listening.guard) : 0;
  int64_t now_ns = clock_ns(), passed_ns = f->asked_ns ? now_ns - f->asked_ns : 0;
  int64_t waited_ns = f->waited_ns + (f->wait_began_ns ? now_ns - f->wait_began_ns : 0);
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "busy_ms",
                   (json_int_t)((passed_ns - waited_ns) / 1000000), "wait_ms",
                   (json_int_t)(waited_ns / 1000000), "shards", (json_int_t)c->shards, "reissued",
                   (json_int_t)c->reissued, "hedged", (json_int_t)c->hedged, "duplicates",
                   (json_int_t)c->duplicates, "failed", (json_int_t)c->failed, "refused", (json_int_t)refused,
                   "dropped", named_counts(drop_names, f->server.drops.count, DROP_KINDS));
}

void feed_report(struct feed *f, struct progress *progress) {
  json_t *list = json_array();
  int64_t now = clock_ms();
  pthread_mutex_lock(&f->lock);
  for (size_t i = 0; i < f->server.n; i++)
    json_array_append_new(list, worker_report(f->server.sessions[i], now));
  json_t *figures = feed_figures(f);
  pthread_mutex_unlock(&f->lock);
  put(progress, "workers", list);
  put(progress, "feed", figures);
}

void feed_report_waits(struct feed *f, struct progress *progress) { f->progress = progress; }

/* NULL: the note stays what it is. */
static const char *note_of_wait(struct feed *f) {
  bool decode = feed_has_role(f, "decode"), augment = feed_has_role(f, "augment");
  if (!decode || !augment) {
    f->noted_missing = true;
    return decode    ? "waits for an augment worker"
           : augment ? "waits for a decode worker"
                     : "waits for workers";
  }
  const char *note = f->noted_missing ? "waits for the first images" : NULL;
  f->noted_missing = false;
  return note;
}

void feed_report_wait(struct feed *f) {
  int64_t now = clock_ms();
  if (!f->progress || now - f->told_ms < TELL_MS) return;
  f->told_ms = now;
  const char *note = note_of_wait(f);
  pthread_mutex_unlock(&f->lock);
  feed_report(f, f->progress);
  progress_refresh(f->progress, note);
  pthread_mutex_lock(&f->lock);
}
