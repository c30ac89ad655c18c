#include "metrics.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

struct metrics {
  FILE *file;
  char *path;
  struct event_file *events;
};

static enum status io_error(const char *path) {
  return fail(E_IO, "cannot write %s: %s%s", path, strerror(errno), file_advice(errno));
}

/* Bytes taken by the complete lines of steps before `first_step`. */
static off_t kept_bytes(FILE *file, int64_t first_step) {
  char *line = NULL;
  size_t capacity = 0;
  off_t kept = 0;
  for (ssize_t n; (n = getline(&line, &capacity, file)) > 0; kept += n) {
    int64_t step;
    if (line[n - 1] != '\n' || sscanf(line, "{\"step\":%" SCNd64, &step) != 1 || step >= first_step) break;
  }
  free(line);
  return kept;
}

enum status metrics_open(struct metrics **out, const char *path, int64_t first_step,
                         struct event_file *events) {
  struct metrics *m = *out = calloc(1, sizeof *m);
  if (!m || !(m->path = strdup(path))) {
    metrics_close(out);
    return fail(E_MEMORY, "out of memory");
  }
  m->events = events;
  m->file = fopen(path, "a+e");
  enum status st = m->file ? OK : io_error(path);
  if (m->file) {
    rewind(m->file);
    if (ftruncate(fileno(m->file), kept_bytes(m->file, first_step)) != 0 || fseek(m->file, 0, SEEK_END) != 0)
      st = io_error(path);
  }
  if (st != OK) metrics_close(out);
  return st;
}

void metrics_close(struct metrics **metrics) {
  struct metrics *m = *metrics;
  *metrics = NULL;
  if (!m) return;
  if (m->file) fclose(m->file);
  free(m->path);
  free(m);
}

void scalars_put(struct scalars *s, const char *name, double value) {
  assert(s->n < MAX_SCALARS);
  s->at[s->n++] = (struct scalar){name, value};
}

void scalars_put_losses(struct scalars *out, const struct step *s, double lr, const struct losses *losses) {
  scalars_put(out, "lr", lr);
  scalars_put(out, "total", losses->total);
  for (int i = 0; i < N_TERMS; i++)
    if (s->loss[i].id) scalars_put(out, term_names[i], losses->term[i]);
}

enum { N_COLUMNS = 1 + N_TERMS };

static const char *column(int i) { return i == 0 ? "total" : term_names[i - 1]; }

/* What TensorBoard shows together: the word before the slash. */
static const char *group_of(const char *name) {
  if (strcmp(name, "lr") == 0) return "";
  for (int i = 0; i < N_COLUMNS; i++)
    if (strcmp(name, column(i)) == 0) return "loss/";
  return "monitor/";
}

static enum status add_event(struct metrics *m, int64_t step, int64_t epoch, const struct scalars *measured) {
  enum { TAG_SIZE = 64 };
  char tags[MAX_SCALARS][TAG_SIZE];
  struct event_scalar scalars[1 + MAX_SCALARS];
  size_t n = 0;
  for (size_t i = 0; i < measured->n; i++) {
    const struct scalar *s = &measured->at[i];
    snprintf(tags[i], TAG_SIZE, "%s%s", group_of(s->name), s->name);
    scalars[n++] = (struct event_scalar){tags[i], s->value};
    if (strcmp(s->name, "lr") ==
        0) /* a step's own; scores are of an epoch before, and the curve would jump back */
      scalars[n++] = (struct event_scalar){"epoch", (double)epoch};
  }
  return event_file_scalars(m->events, step, scalars, n);
}

enum status metrics_add(struct metrics *m, int64_t step, int64_t epoch, const struct scalars *measured) {
  fprintf(m->file, "{\"step\":%" PRId64 ",\"epoch\":%" PRId64, step, epoch);
  for (size_t i = 0; i < measured->n; i++)
    fprintf(m->file, ",\"%s\":%.9g", measured->at[i].name, measured->at[i].value);
  fputs("}\n", m->file);
  if (fflush(m->file) != 0 || ferror(m->file)) return io_error(m->path);
  return m->events ? add_event(m, step, epoch, measured) : OK;
}

enum status metrics_sync(struct metrics *m) {
  if (fsync(fileno(m->file)) != 0) return io_error(m->path);
  return m->events ? event_file_sync(m->events) : OK;
}

enum status metrics_last(const struct metrics *m, const char *key, json_t **line) {
  *line = NULL;
  FILE *file = fopen(m->path, "re");
  if (!file) return fail(E_IO, "cannot read %s: %s", m->path, strerror(errno));
  char *text = NULL;
  size_t capacity = 0;
  while (getline(&text, &capacity, file) > 0) {
    json_t *object = strstr(text, key) ? json_loads(text, 0, NULL) : NULL;
    if (json_object_get(object, key)) {
      json_decref(*line);
      *line = json_incref(object);
    }
    json_decref(object);
  }
  free(text);
  fclose(file);
  return *line ? OK : fail(E_NOT_FOUND, "%s has no line with %s", m->path, key);
}

enum status metrics_epoch_mean(const char *path, int64_t epoch, json_t **mean) {
  *mean = NULL;
  FILE *file = fopen(path, "re");
  if (!file) return fail(E_IO, "cannot read %s: %s", path, strerror(errno));
  double sum[N_COLUMNS] = {0};
  int64_t count[N_COLUMNS] = {0};
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, file) > 0) {
    json_t *object = json_loads(line, 0, NULL);
    if (object && json_integer_value(json_object_get(object, "epoch")) == epoch)
      for (int i = 0; i < N_COLUMNS; i++) {
        json_t *value = json_object_get(object, column(i));
        if (value) sum[i] += json_number_value(value), count[i]++;
      }
    json_decref(object);
  }
  free(line);
  fclose(file);
  if (!count[0]) return fail(E_NOT_FOUND, "%s has no line of epoch %" PRId64, path, epoch);
  json_t *means = json_object();
  for (int i = 0; i < N_COLUMNS; i++)
    if (count[i]) json_object_set_new(means, column(i), json_real(sum[i] / (double)count[i]));
  *mean = means;
  return means ? OK : fail(E_MEMORY, "out of memory");
}
