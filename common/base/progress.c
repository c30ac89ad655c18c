#include "base/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/log.h"

struct progress {
  const char *what, *unit, *path;
  int64_t total, done, first_done;
  double started, drawn, written, rate;
  int terminal, begun;
  json_t *details;
  char note[160];
};

enum status progress_open(struct progress **out, const char *what, const char *unit, int64_t total) {
  struct progress *p = *out = calloc(1, sizeof *p);
  if (!p || !(p->details = json_object())) {
    free(p);
    *out = NULL;
    return fail(E_MEMORY, "out of memory");
  }
  p->what = what;
  p->unit = unit;
  p->total = total;
  p->path = cli_progress_path();
  p->terminal = isatty(STDERR_FILENO);
  p->started = p->drawn = clock_s();
  return OK;
}

static void draw_time(char *text, size_t size, double s) {
  int64_t t = (int64_t)(s + 0.5);
  if (t >= 3600)
    snprintf(text, size, "%lldh%02lldm", (long long)t / 3600, (long long)t / 60 % 60);
  else
    snprintf(text, size, "%lldm%02llds", (long long)t / 60, (long long)t % 60);
}

static void draw(const struct progress *p, double now, int last) {
  char left[32] = "", bar[48] = "", of[32] = "", line[400];
  double part = p->total > 0 ? (double)p->done / (double)p->total : 0;
  if (p->total > 0 && p->rate > 0 && !last)
    draw_time(left, sizeof left, (double)(p->total - p->done) / p->rate);
  else
    draw_time(left, sizeof left, now - p->started);
  if (p->terminal && p->total > 0) {
    int full = (int)(part * 20);
    snprintf(bar, sizeof bar, "[%.*s%.*s] ", full, "====================", 20 - full, "                    ");
  }
  if (p->total > 0) snprintf(of, sizeof of, "/%lld", (long long)p->total);
  snprintf(line, sizeof line, "%s %s%lld%s %s  %.1f/s  %s %s  %s", p->what, bar, (long long)p->done, of,
           p->unit, p->rate, last ? "in" : "left", left, p->note);
  if (p->terminal)
    fprintf(stderr, "\r\033[K%s%s", line, last ? "\n" : "");
  else
    log_info("%s", line);
}

/* Renamed into place but not synced: a reader must never see half a file, and a lost one costs nothing. */
static void write_file(const struct progress *p, double now, int last) {
  char temporary[4096];
  if (!p->path || snprintf(temporary, sizeof temporary, "%s.tmp", p->path) >= (int)sizeof temporary) return;
  json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:b, s:s}", "what", p->what, "unit", p->unit, "done",
                        (json_int_t)p->done, "total", (json_int_t)p->total, "rate", p->rate, "elapsed_s",
                        now - p->started, "finished", last, "note", p->note);
  if (!j) return;
  json_object_update(j, p->details);
  if (json_dump_file(j, temporary, JSON_COMPACT) == 0) rename(temporary, p->path);
  json_decref(j);
}

void progress_set(struct progress *p, int64_t done, const char *note) {
  double now = clock_s();
  if (!p->begun) { /* a resumed run starts above zero: its rate counts from there */
    p->begun = 1;
    p->first_done = done;
  }
  p->done = done;
  if (note) snprintf(p->note, sizeof p->note, "%s", note);
  if (now > p->started) p->rate = (double)(done - p->first_done) / (now - p->started);
  if (now - p->written >= 0.5) {
    write_file(p, now, 0);
    p->written = now;
  }
  if (now - p->drawn >= (p->terminal ? 0.1 : 10.0)) {
    draw(p, now, 0);
    p->drawn = now;
  }
}

void progress_refresh(struct progress *p, const char *note) { progress_set(p, p->done, note); }

void progress_detail_take(struct progress *p, const char *key, json_t *value) {
  json_object_set_new(p->details, key, value);
}

void progress_abort(struct progress **progress) {
  struct progress *p = *progress;
  *progress = NULL;
  if (!p) return;
  if (p->terminal) fputs("\r\033[K", stderr);
  json_decref(p->details);
  free(p);
}

void progress_close(struct progress **progress) {
  struct progress *p = *progress;
  *progress = NULL;
  if (!p) return;
  double now = clock_s();
  draw(p, now, 1);
  write_file(p, now, 1);
  json_decref(p->details);
  free(p);
}
